"""A user's home on the cluster runs into its quota, for real: said in plain words, waited for, and no session ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessiond.api.wire import Session
from tests.daemon import services

from .bed import LOGIN, Cluster
from .bed.fixtures import fresh_cluster
from .bed.waiting import until
from .storm import SERVE, Storm, nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

EXCEEDED = "Disk quota exceeded"
REMEDY = "Your quota there is used up: remove files of yours, or have it raised; it is tried again."


@pytest.fixture(scope="module")
def limited() -> Iterator[Cluster]:
    """A cluster whose homes have a quota."""
    with fresh_cluster(home_quota_mb=16) as made:
        yield made


@pytest.fixture
def bed(limited: Cluster) -> Iterator[Cluster]:
    """The same, as good as new."""
    yield limited
    limited.reset()


def waits_for_room(it: Storm, session: Session, state: str) -> None:
    """See that a session waits for room, says so with a remedy, and that nothing is submitted meanwhile."""

    def waits() -> bool:
        seen = it.me.client.session(session["id"])
        return (state, EXCEEDED in str(seen["problem"])) == (seen["state"], True)

    until(waits, "the quota is told")
    why = it.said("why", session["id"])
    assert EXCEEDED in why, why
    assert f"Next: {REMEDY}" in why
    assert EXCEEDED in it.said("ls")
    # it is tried again and again: after one second, two, four
    stays(lambda: waits() and [] == it.sbatches(session), 3, "it waits")


def test_no_room_for_files_then_none_for_a_submission(bed: Cluster) -> None:
    """Both wait, and go on by themselves once there is room; each is submitted once, and can end without room."""
    with storm(bed) as it:
        services.write(
            it.me.services / "patient",
            f"exec {SERVE}\n",
            controller=f'until [ -e "{bed.scratch}/go" ]; do sleep 0.1; done\n',
        )
        bed.use_up_quota()
        early = it.begin("kite")
        waits_for_room(it, early, "render")
        bed.make_room()
        it.running(early)
        late = it.begin("patient")
        until(lambda: bool(bed.hosts[LOGIN].named("sleep")), "its files are in place, and it is prepared")
        bed.use_up_quota()
        (bed.scratch / "go").touch()
        waits_for_room(it, late, "submit")
        assert "running" == it.me.client.session(early["id"])["state"]
        bed.make_room()
        it.running(late)
        bed.use_up_quota()
        it.end(early, late)
        nothing_left(bed)


def test_no_room_to_find_out_about_a_submission(bed: Cluster) -> None:
    """The answer to a submission is lost and the quota used up: waited for, not done again; then the job is found."""
    with storm(bed) as it:
        bed.ctld_freeze()
        session = it.begin("kite")
        until(lambda: 1 == bed.sbatch_calls(), "sbatch was called")
        bed.use_up_quota()
        bed.sshd_kill_sessions(LOGIN)
        it.me.until(session["id"], "reconcile")
        until(lambda: EXCEEDED in it.said("ls"), "the quota is told")
        assert f"Next: {REMEDY}" in it.said("why", session["id"])
        bed.make_room()
        # with room sbatch's end is written down, and need not be waited for as long as it might take
        until(lambda: not bed.hosts[LOGIN].named("sbatch"), "sbatch gives up")
        bed.ctld_thaw()
        (found,) = it.running(session)
        assert (1, session["url"]) == (len(it.sbatches(found)), found["url"])
        it.end(found)
        nothing_left(bed)


def test_a_preparation_that_fails_for_want_of_room_is_done_again(bed: Cluster) -> None:
    """An installation uses up the quota and fails without a word, for the log has no room either: no session ends."""
    with storm(bed) as it:
        fill = f'[ -e "{bed.scratch}/enough" ] || {{ cat /dev/zero > "$HOME/.filling"; exit 1; }}\n'
        services.write(it.me.services / "installs", f"exec {SERVE}\n", controller=fill)
        session = it.begin("installs")
        waits_for_room(it, session, "render")
        (bed.scratch / "enough").touch()
        bed.make_room()
        it.running(session)
        it.end(session)
        nothing_left(bed)


@pytest.mark.parametrize(("status", "outcome"), [(0, "completed"), (7, "failed"), (None, "cancelled")])
def test_a_session_whose_log_has_no_room_goes_on_and_ends_properly(
    bed: Cluster, status: int | None, outcome: str
) -> None:
    """It serves while its log cannot be written, writes it again when it can, and without room its end is known: by
    itself with a status, or told to (None), which runs its kill script."""
    with storm(bed) as it:
        services.write(
            it.me.services / "talks",
            'while :; do echo "and on it goes"; sleep 0.05; done &\n'
            f"{SERVE} &\n"
            f'until [ -e "{bed.scratch}/burn" ]; do sleep 0.1; done\n'
            f'kill %1 %2\nexit "$(cat "{bed.scratch}/burn")"\n',
            kill=f'touch "{bed.scratch}/killed"\n',
        )
        session = it.start("talks")
        said = it.answers(session)
        log = it.folder(session) / "logs.out"
        bed.use_up_quota()
        size = log.stat().st_size
        stays(lambda: (said, size) == (it.answers(session), log.stat().st_size), 3, "it serves, and its log is full")
        assert "and on it goes" in it.said("logs", session["id"])
        bed.make_room()
        until(lambda: log.stat().st_size > size, "the log goes on")
        bed.use_up_quota()
        if status is None:
            it.me.client.stop(session["id"])
        else:
            (bed.scratch / "burn.new").write_text(f"{status}\n")
            (bed.scratch / "burn.new").rename(bed.scratch / "burn")
        until(lambda: session["id"] not in it.said("ls", "--fresh", "--json"), "the end is seen")
        ended = it.over(session, outcome)
        assert (status == 7) == (ended["problem"] is not None and "status 7" in ended["problem"]["message"]), ended
        assert (bed.scratch / "killed").exists()
        nothing_left(bed)
