"""Short forms of the scripts in tests/faults: random damage, full disks, runs that are killed or at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import corruptions, disk_full, pairs_of_runs, two_hosts


def test_random_damage_to_folders_manifests_and_progress_is_named_or_has_no_effect(tmp_path):
    with corruptions.small_targets(tmp_path) as targets:
        outcomes, culprits = corruptions.corrupt(targets, 60, seed=1)
    assert not culprits, "\n".join(culprits)
    assert sum(number for (_, found), number in outcomes.items() if found == "named") > 45


@pytest.mark.slow
def test_random_damage_to_what_comes_with_the_course_is_named(tmp_path):
    with corruptions.large_targets(tmp_path) as targets:
        outcomes, culprits = corruptions.corrupt(targets, 15, seed=1)
    assert not culprits, "\n".join(culprits)
    assert all(found == "named" for _, found in outcomes)


@pytest.mark.slow
def test_on_a_full_disk_one_sentence_is_said_and_the_last_good_file_stays(tmp_path):
    commands = disk_full.Commands(tmp_path)
    for size in (8, 20, 60):
        try:
            with disk_full.small_disk(tmp_path, size) as disk:
                assert not list(disk_full.full_disk(commands, disk))
        except PermissionError as error:
            pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_closed_place_or_no_home_is_said_in_one_sentence(tmp_path):
    try:
        assert not list(disk_full.closed_places(disk_full.Commands(tmp_path), tmp_path))
    except PermissionError as error:  # root, in a container where nothing can be mounted
        pytest.skip(str(error))


@pytest.mark.slow
def test_processes_that_record_progress_at_once_lose_nothing(tmp_path):
    assert not pairs_of_runs.record_at_once(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no fork, and no such signals")
def test_a_run_that_is_killed_or_stopped_at_any_moment_ends_as_one_that_was_not():
    command = [sys.executable, "-m", "tests.faults.killed_at_any_moment", "3"]  # kills, and one of each signal
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL: 3 of 3 ended bit by bit" in done.stdout and "SIGTERM: 1 of 1" in done.stdout


@pytest.mark.slow
def test_a_job_of_two_hosts_goes_on_when_the_cable_between_them_was_cut():
    try:
        with two_hosts.Hosts():
            pass
    except PermissionError as error:
        pytest.skip(str(error))
    assert two_hosts.main(1, seed=1) == 0
