"""What the overhead benchmark reads and decides without starting anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.overhead.books import Entry, doubled, parse_counted, parse_lines
from benchmarks.overhead.load import Load, parse_h2load, parse_wrk, quantile
from benchmarks.overhead.machine import Process, parse_busy, parse_rss, parse_stat, tree
from benchmarks.overhead.report import Figure, Limit, Measured, figure, of_load, of_ratio, table, weather
from benchmarks.overhead.server import NotServing, parse_ready

WRK = """\
Running 3s test @ http://127.0.0.1:42239/v1/infer
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    16.38ms   10.59ms 212.15ms   98.09%
    Req/Sec     4.13k   109.50     4.27k    73.33%
  12333 requests in 3.00s, 12.73MB read
Requests/sec:   4109.77
Transfer/sec:      4.24MB
counted {"answers": 12330, "wrong": 2, "broken": 1, "seconds": 3.000900, "p50_us": 15320, "p99_us": 55860}
"""

H2LOAD = """\
starting benchmark...
spawning thread #0: 8 total client(s). Timing-based test with 0s of warm-up time and 3s of main duration.
Application protocol: h2c
Stopped all clients for thread #0

finished in 3.00s, 1774.00 req/s, 580.90KB/s
requests: 5322 total, 5386 started, 5322 done, 5322 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5322 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.70MB (1784529) total, 16.18KB (16566) headers (space savings 96.16%), 1.16MB (1218738) data
"""

H2LOAD_LOG = "1795168937315219\t200\t4000\n1795168937315219\t200\t6000\n1795168937315219\t-1\t900000\n"

METRICS = """\
# TYPE llm_pool_requests_total counter
llm_pool_requests_total{outcome="ok",strategy="fastest",task="chat"} 34875.0
llm_pool_requests_total{outcome="CANCELLED",strategy="fastest",task="chat"} 2.0
llm_pool_requests_created{outcome="ok",strategy="fastest",task="chat"} 1.795168827786704e+09
llm_pool_attempts_total{deployment="sim",outcome="ok"} 99.0
"""

AGREED = Entry("http 1", answers=100, wrong=0, lines=100, good_lines=100, counted=100, slack=0)


def access(request_id: str, *, route: str = "/v1/infer", status: str = "200") -> str:
    return (
        f'{{"level":"info","logger":"llm_pool.access","event":"request","request_id":"{request_id}",'
        f'"edge":"http","route":"{route}","status":{status}}}\n'
    )


def test_wrk_is_read_through_what_our_script_counted() -> None:
    """wrk's own "12333 requests" counts the bad ones as well."""
    load = parse_wrk(WRK)
    assert (load.answers, load.wrong) == (12330, 3)
    assert (load.p50, load.p99) == (15.32, 55.86)
    assert load.rate == pytest.approx(4108.767)


def test_wrk_without_our_scripts_line_is_no_measurement() -> None:
    with pytest.raises(NotServing, match="wrk said nothing"):
        parse_wrk(WRK.replace("counted", "counter"))


def test_h2load_is_read_with_its_log_and_unfinished_calls_are_no_errors() -> None:
    load = parse_h2load(H2LOAD, H2LOAD_LOG)
    assert (load.answers, load.wrong, load.seconds) == (5322, 0, 3.0)
    assert (load.p50, load.p99) == (4.0, 6.0)


def test_h2load_says_milliseconds_for_short_runs() -> None:
    said = H2LOAD.replace("finished in 3.00s", "finished in 249.11ms")
    assert parse_h2load(said, H2LOAD_LOG).seconds == pytest.approx(0.24911)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("status codes: 5322 2xx, 0 3xx, 0 4xx, 0 5xx", "status codes: 5312 2xx, 0 3xx, 0 4xx, 10 5xx"),
        ("5322 succeeded, 0 failed, 0 errored", "5312 succeeded, 10 failed, 10 errored"),
    ],
)
def test_h2loads_failures_count_as_wrong(good: str, bad: str) -> None:
    assert parse_h2load(H2LOAD.replace(good, bad), H2LOAD_LOG).wrong >= 10


def test_h2load_that_never_finished_is_no_measurement() -> None:
    with pytest.raises(NotServing, match="did not finish"):
        parse_h2load("starting benchmark...\n", "")


def test_quantiles_are_of_the_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert quantile([7.0], 0.99) == 7
    assert quantile([], 0.5) == 0


def test_ready_lines_name_their_addresses() -> None:
    line = "llm-pool 0.1.0 ready: gRPC 127.0.0.1:42751, HTTP 127.0.0.1:42699 | providers: sim healthy | config x.toml"
    assert parse_ready(line) == {"gRPC": "127.0.0.1:42751", "HTTP": "127.0.0.1:42699"}
    assert parse_ready("echo ready: HTTP 127.0.0.1:1") == {"HTTP": "127.0.0.1:1"}
    assert parse_ready("Traceback (most recent call last):") == {}


def test_only_the_driven_route_is_counted_in_the_log() -> None:
    other = '{"level":"info","logger":"llm_pool.dispatch.health","event":"provider is healthy"}\n'
    log = other + access("a") + access("b", route="/metrics") + access("c", status='"OK"') + access("d", status="499")
    assert [(line.id, line.status) for line in parse_lines(log.encode(), "/v1/infer")] == [
        ("a", 200),
        ("c", "OK"),
        ("d", 499),
    ]


def test_a_torn_line_is_nobodys_good_line() -> None:
    log = access("a") + access("b")[:40] + "\n"
    assert [line.status for line in parse_lines(log.encode(), "/v1/infer")] == [200, "unreadable"]


def test_requests_are_counted_over_all_outcomes() -> None:
    assert parse_counted(METRICS) == 34877
    assert parse_counted("") == 0


def test_books_that_agree_have_no_differences() -> None:
    assert AGREED.differences() == []


def test_a_timed_run_may_cut_off_as_many_calls_as_it_has_in_flight() -> None:
    cut = replace(AGREED, lines=164, good_lines=120, counted=150, slack=64)
    assert cut.differences() == []
    assert replace(cut, lines=165).differences() == [
        "http 1: 165 access lines for 100 answers (at most 64 may be cut off)"
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (replace(AGREED, lines=99, good_lines=99, counted=99), "99 access lines for 100 answers"),
        (replace(AGREED, lines=101), "101 access lines for 100 answers"),
        (replace(AGREED, lines=99, good_lines=99, counted=99, slack=64), "99 access lines for 100 answers"),
        (replace(AGREED, counted=99), "99 requests counted for 100 access lines"),
        (replace(AGREED, counted=101), "101 requests counted for 100 access lines"),
        (replace(AGREED, counted=101, slack=64), "101 requests counted for 100 access lines"),
        (replace(AGREED, good_lines=99), "99 access lines of a good end for 100 answers"),
        (replace(AGREED, wrong=1), "1 calls were not answered well"),
        (replace(AGREED, answers=0, lines=0, good_lines=0, counted=0), "no answers at all"),
    ],
)
def test_whatever_does_not_add_up_is_said(entry: Entry, said: str) -> None:
    """An answer without a line is never forgiven, however many calls may have been cut off."""
    assert any(said in difference for difference in entry.differences())


def test_a_doubled_request_id_is_found() -> None:
    assert doubled(["a", "b", "a", "c"]) == ["request id a stands in 2 lines"]
    assert doubled(["a", "b", "c"]) == []


def test_limits_are_met_at_their_own_value() -> None:
    assert Limit("at least", 5000).met(5000)
    assert not Limit("at least", 5000).met(4999.9)
    assert Limit("at most", 1.0).met(1.0)
    assert not Limit("at most", 1.0).met(1.01)


def test_figures_know_their_limit_and_the_others_only_inform() -> None:
    assert figure("HTTP requests per second", 4_999, "/s").verdict == "missed"
    assert figure("gRPC requests per second", 2_200, "/s").verdict == "met"
    assert figure("memory idle", 80.1, "MB").verdict == "missed"
    assert figure("start to ready", 0.4, "s").verdict == "met"
    assert figure("echo requests per second", 1, "/s").verdict == ""


def test_repetitions_are_told_by_their_medians() -> None:
    runs = [Measured(Load(rate, 0, 1.0, p50=rate / 10, p99=9.0), cpu=rate * 1e-4, foreign=0) for rate in (10, 30, 20)]
    values = {each.name: each.value for each in of_load("HTTP", runs)}
    assert values["HTTP requests per second"] == 20
    assert values["HTTP p50"] == 2.0
    assert values["HTTP CPU per request"] == pytest.approx(100)


def test_a_ratio_compares_neighbours() -> None:
    pool = [Measured(Load(100, 0, 1.0, 1, 1), cpu=0.02, foreign=0), Measured(Load(50, 0, 1.0, 1, 1), 0.02, 0)]
    echo = [Measured(Load(400, 0, 1.0, 1, 1), cpu=0.02, foreign=0), Measured(Load(200, 0, 1.0, 1, 1), 0.02, 0)]
    rate, cpu = of_ratio(pool, echo)
    assert rate.value == 0.25
    assert cpu.value == pytest.approx(4)


def test_the_table_shows_every_figure_beside_its_limit() -> None:
    shown = table([figure("HTTP requests per second", 5123.4, "/s"), Figure("HTTP p50", 12.34, "ms")])
    header, first, second = shown.splitlines()
    assert header.split() == ["figure", "value", "limit"]
    assert first.split("  ")[-1] == "met"
    assert "5,123 /s" in first
    assert "at least 5,000 /s" in first
    assert second.split() == ["HTTP", "p50", "12.3", "ms"]


def test_a_noisy_machine_is_said_aloud() -> None:
    assert weather([0.01, 0.64]).startswith("NOISY: other processes took up to 64%")
    assert weather([0.01, 0.02]) == "other processes took at most 2% of the machine"


def test_a_programs_name_may_hold_spaces_and_brackets() -> None:
    stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 100 23 5 6 20 0 9 0 1 2 3"
    assert parse_stat(stat) == Process(parent=7, own=123, reaped=11)


def test_waiting_for_a_disk_is_not_being_busy() -> None:
    stat = "cpu  10 1 5 1000 500 2 3 4 9 9\ncpu0 5 0 2 500 250 1 1 2 0 0\ncpu1 5 1 3 500 250 1 2 2 9 9\nintr 1 2\n"
    assert parse_busy(stat) == (25, 2)


def test_resident_memory_is_read_in_megabytes() -> None:
    assert parse_rss("Name:\tpython\nVmPeak:\t  999 kB\nVmRSS:\t   68096 kB\nThreads:\t9\n") == 66.5


def test_a_process_tree_has_its_grandchildren_and_no_strangers() -> None:
    among = {pid: Process(parent, 0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1))}
    assert sorted(tree(2, among)) == [2, 3, 4]


def test_the_wrk_script_stands_beside_its_driver() -> None:
    """Without it wrk would count refusals as answers."""
    from benchmarks.overhead import load  # noqa: PLC0415

    assert (Path(load.__file__).parent / "answers.lua").read_text().startswith("--")
