"""Recipes for well-known data sets on the Hugging Face Hub: where they have languages, texts and labels.

A recipe contains data and no code. A column of lists contains texts that are split into words; a column of strings
contains plain texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from xsns_stream.corpora.columns import Columns
from xsns_stream.errors import CorpusError
from xsns_stream.io.atomic import at_home
from xsns_stream.languages import normalise

LANG: Final = "{lang}"
HUB_PREFIX: Final = "hub:"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
#: Column of recipes with texts that are split into words.
SPLIT_COLUMN: Final = "tokens"


@dataclass(frozen=True)
class Recipe:
    """Describes where a data set has its languages, texts and labels.

    Attributes:
        name: Name of the corpus on the command line.
        hub_id: OWNER/NAME on the Hub.
        subsets: The names of the languages in the data set, separated by white space.
        text: Column of the text, or of the first text of a pair.
        pair: Column of the second text of a pair; empty if there are no pairs.
        config: Name of the configuration; `{lang}` is replaced by the name of the language in `subsets`.
        split: The default split.
        prefix_column: If one configuration contains all languages, the column whose values begin with the name of the
            language in `subsets` and a hyphen; otherwise empty.
        leave_out: Rows with a value in one of these columns are left out.
        renamed: Name in `subsets` → language code, for names that are not codes or are codes of other languages.
        sentence: Column of the running text beside the words; empty without such a column. A copy of the data set may
            lack it.
        labelled: The columns of text and label, for reading with labels; None if the data set has no labels.
        note: A phrase that describes the text, for help pages.
    """

    name: str
    hub_id: str
    subsets: str = field(repr=False)
    text: str
    pair: str = ""
    config: str = LANG
    split: str = "train"
    prefix_column: str = ""
    leave_out: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict, repr=False)
    sentence: str = ""
    labelled: Columns | None = None
    note: str = ""

    @cached_property
    def languages(self) -> Mapping[str, str]:
        """Normalised code → name of the language in the data set."""
        return MappingProxyType({normalise(self.renamed.get(s, s)): s for s in self.subsets.split()})


# Some codes of Wikipedia are older than those of ISO: `als` is Alemannic in Wikipedia and Tosk Albanian in ISO.
_WIKIPEDIA_CODES: Final = {
    "als": "gsw",
    "bat-smg": "sgs",
    "cbk-zam": "cbk",
    "fiu-vro": "vro",
    "map-bms": "jv-x-bms",
    "roa-rup": "rup",
    "zh-classical": "lzh",
    "zh-min-nan": "nan",
    "zh-yue": "yue",
}

_WIKIANN: Final = """
    ace af als am an ang ar arc arz as ast ay az ba bar bat-smg be be-x-old bg bh bn bo br bs ca cbk-zam
    cdo ce ceb ckb co crh cs csb cv cy da de diq dv el en eo es et eu ext fa fi fiu-vro fo fr frr fur fy
    ga gan gd gl gn gu hak he hi hr hsb hu hy ia id ig ilo io is it ja jbo jv ka kk km kn ko ksh ku ky la
    lb li lij lmo ln lt lv map-bms mg mhr mi min mk ml mn mr ms mt mwl my mzn nap nds ne nl nn no nov oc
    or os pa pdc pl pms pnb ps pt qu rm ro ru rw sa sah scn sco sd sh si sk sl so sq sr su sv sw szl ta te
    tg th tk tl tr tt ug uk ur uz vec vep vi vls vo wa war wuu xmf yi yo zea zh zh-classical zh-min-nan
    zh-yue
"""

_ONLY_WIKIPEDIA: Final = """
    ab av bjn bm bxr chr dz ee ff fj gag gv ha haw inh kbd kbp kg ki kl koi krc kv kw lbe lez lg lo mdf
    myv nso nv ny om pag pam pap rn roa-rup rue se sm sn ss st stq tet ti tn to tpi ts tum tw ty tyv udm
    wo xal xh za zu
"""

_TREEBANKS: Final = """
    af_afribooms ar_padt be_hse bg_btb ca_ancora cs_pdt cy_ccg da_ddt de_gsd el_gdt en_ewt es_gsd et_edt
    eu_bdt fa_seraji fi_tdt fo_farpahc fr_gsd ga_idt gl_ctg he_htb hi_hdtb hr_set hu_szeged hy_armtdp
    id_gsd is_modern it_isdt ja_gsd ko_gsd la_ittb lt_alksnis lv_lvtb mr_ufal mt_mudt nl_alpino no_bokmaal
    pl_pdb pt_bosque ro_rrt ru_gsd sk_snk sl_ssj sr_set sv_talbanken ta_ttb te_mtg tr_imst ug_udt uk_iu
    ur_udtb vi_vtb wo_wtb zh_gsdsimp
"""

_FLORES: Final = """
    ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn als_Latn amh_Ethi apc_Arab_nort3139 arb_Arab
    ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn
    ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl
    cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn
    dzo_Tibt ell_Grek eng_Latn epo_Latn ekk_Latn eus_Latn ewe_Latn fao_Latn fij_Latn fin_Latn fon_Latn
    fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn gug_Latn guj_Gujr hat_Latn hau_Latn
    heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn
    jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn
    kea_Latn khk_Cyrl khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn kon_Latn kor_Hang lao_Laoo
    lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn
    lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl mlt_Latn mos_Latn mri_Latn mya_Mymr
    nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru
    pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab quy_Latn ron_Latn run_Latn rus_Cyrl
    sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab
    som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
    taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl fil_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn
    tuk_Latn tum_Latn tur_Latn twi_Latn_akua1239 uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn
    vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant cmn_Hans cmn_Hant zgh_Tfng zsm_Latn
    zul_Latn
"""

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                "wikiann",
                "unimelb-nlp/wikiann",
                _WIKIANN,
                text="tokens",
                renamed=_WIKIPEDIA_CODES,
                labelled=Columns("tokens", label="ner_tags"),
                note="named entities in Wikipedia sentences, which are split into words.",
            ),
            Recipe(
                "udpos",
                "commul/universal_dependencies",
                _TREEBANKS,
                text="tokens",
                # In a sentence with multi-word tokens, the words differ from the written text ("in dem" for "im").
                leave_out=("mwt",),
                renamed={treebank: treebank.split("_")[0] for treebank in _TREEBANKS.split()},
                sentence="text",
                labelled=Columns("tokens", label="upos"),
                note="one treebank of Universal Dependencies per language, without multi-word tokens.",
            ),
            Recipe(
                "xnli",
                "facebook/xnli",
                "ar bg de el en es fr hi ru sw th tr ur vi zh",
                text="premise",
                labelled=Columns("premise", "hypothesis", "label"),
                note="the premises of XNLI; with labels, premise and hypothesis as a pair.",
            ),
            Recipe(
                "paws-x",
                "google-research-datasets/paws-x",
                "de en es fr ja ko zh",
                text="sentence1",
                pair="sentence2",
                labelled=Columns("sentence1", "sentence2", "label"),
                note="both sentences of PAWS-X, as a pair.",
            ),
            Recipe(
                "tydiqa",
                "google-research-datasets/tydiqa",
                "arabic bengali english finnish indonesian korean russian swahili telugu",
                text="context",
                config="secondary_task",
                prefix_column="id",
                renamed={
                    "arabic": "ar",
                    "bengali": "bn",
                    "english": "en",
                    "finnish": "fi",
                    "indonesian": "id",
                    "korean": "ko",
                    "russian": "ru",
                    "swahili": "sw",
                    "telugu": "te",
                },
                labelled=Columns("question", "context", "answers"),
                note="the passages of TyDi QA's gold passage task; with labels, question and passage as a pair.",
            ),
            Recipe(
                "flores",
                "openlanguagedata/flores_plus",
                _FLORES,
                text="text",
                split="dev",
                renamed={"apc_Arab_nort3139": "apc", "twi_Latn_akua1239": "ak"},
                note="FLORES+, parallel sentences; its terms must be accepted on the Hub first.",
            ),
            Recipe(
                "wikipedia",
                "wikimedia/wikipedia",
                _WIKIANN + _ONLY_WIKIPEDIA,
                text="text",
                config="20231101.{lang}",
                renamed=_WIKIPEDIA_CODES,
                note="whole articles of Wikipedia, November 2023.",
            ),
        )
    }
)


def recipe_of(spec: str) -> tuple[Recipe, Path | None] | None:
    """Return the recipe for a value of `--corpus`, and the folder of a local copy of the data set.

    Args:
        spec: `wikiann`, `wikiann=FOLDER`, `hub:OWNER/NAME` or `hub:./FOLDER`.

    Returns:
        The recipe and the folder, which is None for a data set on the Hub; None if `spec` is another kind of corpus.
        The recipe of `hub:…` has no languages and no text column; both are looked up in the data set.

    Raises:
        CorpusError: The folder does not exist, or the name is not a valid name of a data set.
    """
    name, equals, path = spec.partition("=")
    if name in RECIPES:
        return RECIPES[name], _existing(path) if equals else None
    if not spec.startswith(HUB_PREFIX):
        return None
    place = spec.removeprefix(HUB_PREFIX)
    if place.startswith((".", "/", "~")):
        return Recipe("hub", "", subsets="", text=""), _existing(place)
    if not _HUB_ID.fullmatch(place):
        hint = "write hub:OWNER/NAME, or hub:./FOLDER for a local copy."
        raise CorpusError(f"'{place}' is not a valid name of a data set on the Hub.", hint)
    return Recipe("hub", place, subsets="", text=""), None


def _existing(path: str) -> Path:
    folder = at_home(path)
    if not folder.is_dir():
        raise CorpusError(f"there is no folder '{path}'.", "check the path of the local copy.")
    return folder.resolve()
