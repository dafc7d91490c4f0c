"""The /metrics page of llama-server."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.collect.metrics import ServerCounters, difference, parse_metrics

PAGE = b"""# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 92
llamacpp:prompt_tokens_cached_total 71
llamacpp:prompt_seconds_total 0.004478
llamacpp:tokens_predicted_total 755
llamacpp:tokens_predicted_seconds_total 1.72443
llamacpp:n_decode_total 750
llamacpp:n_tokens_max 511
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 5
llamacpp:prompt_tokens_seconds 20544.9
llamacpp:requests_processing 2
llamacpp:requests_deferred 0
"""


def test_known_names_are_read_and_seconds_become_milliseconds() -> None:
    assert parse_metrics(PAGE) == ServerCounters(92, 71, 755, 4, 1724, 750, 2, 0)


def test_large_numbers_in_exponent_form_are_whole() -> None:
    assert parse_metrics(b"llamacpp:prompt_tokens_total 1.5e+07\n").prompt_tokens_total == 15_000_000


def test_values_that_are_no_count_are_unknown() -> None:
    for value in (b"nan", b"inf", b"-1", b"", b"many", b"1e300"):
        assert parse_metrics(b"llamacpp:n_decode_total " + value) == ServerCounters()


def test_an_error_page_gives_only_unknowns() -> None:
    assert parse_metrics(b'{"error":{"code":501,"type":"not_supported_error"}}') == ServerCounters()


def test_a_smaller_counter_has_no_difference() -> None:
    assert difference(5, 9) is None
    assert difference(None, 9) is None
    assert difference(9, None) is None
    assert difference(9, 5) == 4


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    parse_metrics(b"llamacpp:n_decode_total " + data)
