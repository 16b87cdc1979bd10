"""Selectors: whom they select, and that their text means the same to a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.objects import LabelSelector, LabelSelectorRequirement, ObjectMeta, Pod
from kfwd_nb.kube.selectors import selector_text, selects
from kfwd_nb.relay.api.selectors import parse_selector

pytestmark = pytest.mark.pure

WORDS = st.sampled_from(["a", "b", "c"])
SELECTORS = st.builds(
    LabelSelector,
    match_labels=st.dictionaries(WORDS, WORDS, max_size=2),
    match_expressions=st.lists(
        st.one_of(
            st.builds(
                LabelSelectorRequirement,
                key=WORDS,
                operator=st.sampled_from(["In", "NotIn"]),
                values=st.lists(WORDS, min_size=1),
            ),
            st.builds(
                LabelSelectorRequirement,
                key=WORDS,
                operator=st.sampled_from(["Exists", "DoesNotExist"]),
            ),
        ),
        max_size=3,
    ),
)


@given(SELECTORS, st.dictionaries(WORDS, WORDS))
def test_the_text_means_the_same(selector, labels):
    if not (selector.match_labels or selector.match_expressions):
        assert not selects(selector, labels)
        return
    item = Pod(metadata=ObjectMeta(labels=labels))
    assert parse_selector(selector_text(selector)).matches(item) == selects(selector, labels)


def test_an_empty_one_is_refused():
    with pytest.raises(ConfigError):
        selector_text(LabelSelector())
