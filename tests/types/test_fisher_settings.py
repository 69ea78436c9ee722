"""The settings of an estimate, and the text that records which results can be compared."""

from __future__ import annotations

import pytest

from xsns_stream.errors import UsageError
from xsns_stream.types import FisherSettings

SAID = {
    FisherSettings(): "per-example(token_reduction=sum)",
    FisherSettings(token_reduction="mean"): "per-example(token_reduction=mean)",
    FisherSettings(labels="sample"): "per-example(token_reduction=sum,labels=sample)",
    FisherSettings("grad-abs"): "grad-abs(token_reduction=sum)",
    FisherSettings("per-batch"): "per-batch(token_reduction=sum,batch=8)",
    FisherSettings("authors"): "authors(batch=8)",
}


@pytest.mark.parametrize(("settings", "description"), SAID.items(), ids=SAID.values())
def test_settings_are_recorded_as_text(settings, description) -> None:
    assert settings.describe(8) == description
    # Settings that change the cost only are not in the text.
    cheaper = FisherSettings(settings.estimator, settings.token_reduction, settings.labels, checkpoint=True)
    assert cheaper.describe(8) == description


def test_the_batch_is_recorded_where_values_depend_on_it() -> None:
    for settings in SAID:
        assert settings.batch_wise == (settings.estimator in ("per-batch", "authors"))
        assert (settings.describe(4) != settings.describe(8)) == settings.batch_wise


@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        (
            {"estimator": "Fisher"},
            "'Fisher' is not a valid estimator.",
            "choose one of per-example, per-batch, authors, grad-abs.",
        ),
        ({"token_reduction": ""}, "'' is not a valid token reduction.", "choose one of sum, mean."),
        ({"labels": "true"}, "'true' is not a valid kind of labels.", "choose one of data, sample."),
        ({"precision": "bfloat16"}, "'bfloat16' is not a valid precision.", "choose one of float32, bf16, fp16."),
    ],
)
def test_unknown_choices_are_refused(choice, message, hint) -> None:
    with pytest.raises(UsageError) as caught:
        FisherSettings(**choice)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("choice", [{"token_reduction": "mean"}, {"labels": "sample"}, {"precision": "bf16"}], ids=str)
def test_the_authors_estimator_has_no_choices(choice) -> None:
    with pytest.raises(UsageError, match="the estimator 'authors' fixes these settings"):
        FisherSettings("authors", **choice)
