"""What may lie in a stored row that somebody edited, or that another release wrote."""

from hypothesis import strategies as st

from shared.storage.port import Value

DEEP = "[" * 12_000

VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(max_size=30),
    # Surrogates too, which no encoder takes.
    st.text(st.characters(), max_size=5),
    st.sampled_from([DEEP, "[[1, 2], []]", "[NaN]", "[1e999]", "9" * 5_000, "[-1]", "\ud800"]),
    st.integers(),
    st.sampled_from([2**63 - 1, -(2**63), 253_402_300_800_000, 10**400]),
    st.floats(),
    st.booleans(),
)
