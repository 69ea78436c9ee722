"""The HTML summary of a store in a notebook."""

from xsns_stream.store import html_summary, open_store


def test_a_store_shows_its_languages_and_its_experiment(filled):
    html = filled._repr_html_()
    assert "3 languages, 3 sub-networks</p>" in html
    for cell in ("<td>sw</td>", "<td>Swahili</td>", "<td>Kinyarwanda</td>"):
        assert cell in html
    experiment = filled.experiment
    assert f"Model {experiment['model']}, {filled.layout.size:,} parameters in" in html
    assert "Seeds: 0; densities: 0.15.</p>" in html


def test_only_the_first_languages_are_read(filled, networks, monkeypatch):
    for language in ("fi", "en", "de"):
        filled.write(networks.make_sub(language))
    monkeypatch.setattr(html_summary, "_LANGUAGES", 2)
    keys = []
    record = type(filled).record
    monkeypatch.setattr(type(filled), "record", lambda self, *key: keys.append(key) or record(self, *key))
    html = filled._repr_html_()
    assert "6 languages, 6 sub-networks" in html
    assert "2 of 6 languages are shown." in html
    assert [key[0] for key in keys] == ["de", "en"]


def test_text_is_escaped(filled, monkeypatch):
    experiment = {**filled.experiment, "model": "<script>"}
    monkeypatch.setattr(type(filled), "experiment", experiment)
    assert "Model &lt;script&gt;," in filled._repr_html_()


def test_a_store_without_rows_or_with_an_error_says_so(filled, path, tmp_path):
    new = open_store(tmp_path / "new.zarr", "a")
    assert new._repr_html_() == f"<p>Store {tmp_path / 'new.zarr'}: it has no rows yet.</p>"
    record = next((path / "commits").rglob("rw/zarr.json"))
    record.write_text("{")
    html = filled._repr_html_()
    assert html.startswith(f"<p>Store {path}: ")
    assert html.count("<p>") == 2
