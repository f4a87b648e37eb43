"""The `course` command: answers at once, says what is there, and fails when a part of it failed."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tiny_finetune import make_finished

from course_utils import __version__, cli, doctor
from course_utils.doctor import Finding

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "numpy", "pandas", "matplotlib", "sklearn"}


def test_help_answers_without_a_heavy_library():
    code = (
        "import sys\nfrom course_utils import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit as end: assert not end.code\n"
        f"print('loaded:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert all(action in done.stdout for action in ("doctor", "lab", "test", "finetune", "predict"))


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.strip() == f"course {__version__}"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["test", "some"]])
def test_an_unknown_action_or_part_lists_those_there_are(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    message = capsys.readouterr().err
    assert end.value.code == 2
    if arguments:
        assert arguments[-1] in message and ("fast" in message if "test" in arguments else "doctor" in message)


@pytest.mark.parametrize("ok", [True, False])
def test_the_doctor_shows_problems_with_their_remedy_and_in_its_status(monkeypatch, capsys, ok):
    findings = [Finding("torch", True, "2.15"), Finding("disk", ok, "0.1 GiB free", "free some space")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert cli.main(["doctor"]) == (0 if ok else 1)
    printed = capsys.readouterr().out
    assert "ok  torch" in printed and ("FIX disk" in printed and "to fix it: free some space" in printed) is not ok


def test_the_lab_names_what_is_missing_with_how_to_get_it(monkeypatch, capsys):
    later = Finding("language model", True, "not here yet: python3 start.py setup (only notebook 14 needs it)")
    findings = [Finding("torch", True, "2.15"), later, Finding("disk", False, "0.1 GiB free", "free some space")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    cli._report_problems()
    printed = capsys.readouterr().out
    assert "language model: not here yet: python3 start.py setup" in printed
    assert "FIX disk" in printed and "torch" not in printed


LIBRARIES = ("torch", "transformers", "ipywidgets", "jupyterlab")


def room_of(capsys, monkeypatch, *more: Finding, torch: str = "2.15.0+cpu") -> tuple[int, str]:
    """Return the status and the line of `course doctor --room` on a machine where this was found."""
    versions = [Finding(name, True, torch if name == "torch" else "1.0") for name in LIBRARIES]
    findings = [*versions, Finding("reviews", True, "verified: reviews.csv"), Finding("memory", True, "3.1 GiB free"), *more]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    return cli.main(["doctor", "--room"]), capsys.readouterr().out


def test_a_room_sees_one_line_with_the_same_code_where_versions_and_files_agree(monkeypatch, capsys):
    status, line = room_of(capsys, monkeypatch)
    assert status == 0 and re.fullmatch(r"OK [0-9A-F]{3}\n", line)
    assert room_of(capsys, monkeypatch, Finding("cores", True, "64"), torch="2.15.0+cu130") == (0, line)
    assert room_of(capsys, monkeypatch, torch="2.14.0")[1] != line
    assert room_of(capsys, monkeypatch, Finding("checkpoint", True, "verified: model"))[1] != line


def test_a_room_sees_what_is_not_ready(monkeypatch, capsys):
    bad = (Finding("disk", False, "0.1 GiB free", "free some"), Finding("checkpoint", False, "gone", "install it"))
    assert room_of(capsys, monkeypatch, *bad) == (1, "NOT READY disk checkpoint\n")


def test_a_program_gets_all_that_the_doctor_found(monkeypatch, capsys):
    finding = Finding("disk", False, "0.1 GiB free", "free some space")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert cli.main(["doctor", "--json"]) == 1
    assert [Finding(**found) for found in json.loads(capsys.readouterr().out)] == [finding]


def test_a_bad_profile_is_one_line_and_not_a_traceback(monkeypatch, capsys):
    def examine():
        raise ValueError("There is no profile 'fast'.")

    monkeypatch.setattr(doctor, "examine", examine)
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "course: There is no profile 'fast'.\n"


def test_the_folder_is_found_from_inside_it_and_from_outside(tmp_path):
    assert cli.course_folder(ROOT / "notebooks" / "py") == ROOT
    for name in ("notebooks", "course_utils", "sub"):
        (tmp_path / name).mkdir()
    assert cli.course_folder(tmp_path / "sub") == tmp_path


def test_without_the_folder_one_sentence_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "lib" / "course_utils" / "cli.py"))
    with pytest.raises(FileNotFoundError, match=r"notebooks are not here. Change to the folder"):
        cli.course_folder(tmp_path)


class Ran:
    """Stands in for the programs that `course test` starts: notes them, and ends with the statuses given."""

    def __init__(self, *statuses: int) -> None:
        self.commands: list[str] = []
        self.statuses = list(statuses)

    def __call__(self, module: list[str], folder: Path) -> int:
        assert folder == ROOT
        self.commands.append(" ".join(module))
        return self.statuses.pop(0) if self.statuses else 0


@pytest.fixture
def ran(monkeypatch):
    ran = Ran()
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COURSE_PROFILE", "workshop")
    monkeypatch.setattr(cli, "_run", ran)
    monkeypatch.setattr(doctor, "torchtext_python", lambda: Path("python"))
    return ran


def test_all_tests_are_units_notebooks_and_the_torchtext_notebook(ran):
    assert cli.main(["test"]) == 0
    units, notebooks, published = ran.commands
    assert units.endswith(" tests --numprocesses 2 --dist loadfile --durations 30") and "slow" not in units
    assert "--nbval " in notebooks and "nbval-lax" not in notebooks and "--nbval-current-env notebooks" in notebooks
    assert "--nbval-kernel-name torchtext" in published and published.endswith("03b_the_published_listing.ipynb")


def test_the_fast_part_leaves_out_slow_tests_and_notebooks(ran):
    assert cli.main(["test", "fast"]) == 0
    assert [command.endswith("tests --numprocesses 2 --dist loadfile -m not slow") for command in ran.commands] == [True]


@pytest.mark.parametrize("statuses", [(1, 0, 0), (0, 1, 0), (0, 0, 9)])
def test_one_failing_part_fails_the_whole_and_the_others_still_run(ran, statuses, capsys):
    ran.statuses = list(statuses)
    assert cli.main(["test"]) != 0
    assert len(ran.commands) == 3 and "2 of 3 parts passed" in capsys.readouterr().out


def test_without_the_torchtext_kernel_notebook_03b_is_left_out_aloud_but_not_in_ci(ran, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "torchtext_python", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    assert cli.main(["test", "notebooks"]) == 0
    assert len(ran.commands) == 1 and "is not tested" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    assert cli.main(["test", "notebooks"]) == 2


def test_notebooks_are_compared_in_the_profile_they_were_kept_in(ran, monkeypatch):
    import os

    monkeypatch.setenv("COURSE_PROFILE", "")
    monkeypatch.delenv("COURSE_PROFILE")
    cli.main(["test", "notebooks"])
    assert os.environ["COURSE_PROFILE"] == "workshop"
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    cli.main(["test", "notebooks"])
    assert os.environ["COURSE_PROFILE"] == "smoke"


def test_bench_hands_names_and_options_on_and_ends_with_their_status(ran):
    ran.statuses = [3]
    assert cli.main(["bench", "lstm", "--rounds", "5", "--help"]) == 3
    assert ran.commands == ["bench.speed lstm --rounds 5 --help"]


def test_a_program_that_was_killed_counts_as_failed(tmp_path):
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")
    (tmp_path / "fine.py").write_text("")
    assert cli._run(["dies"], tmp_path) > 0
    assert cli._run(["fine"], tmp_path) == 0


# --- a table of one's own


COLUMNS = ["--text-column", "text", "--label-column", "kind"]


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with a table, and the place where commands are typed."""
    rows = [f"film {i},{'good' if i % 2 else 'bad'}" for i in range(40)]
    (tmp_path / "films.csv").write_text("\n".join(["text,kind", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "absent.csv", *COLUMNS], "There is no file absent.csv."),
        (["finetune", "films.csv", *COLUMNS, "--encoding", "nonsense"], "There is no encoding 'nonsense'."),
        (["finetune", "films.csv", *COLUMNS, "--separator", "::"], "A separator is one character"),
        (["finetune", "films.csv", *COLUMNS, "--no-header"], "The columns are: '1', '2'."),
        (["predict", ".", "films.csv", "--text-column", "kind", "--separator", "|"], "There is no column 'kind'."),
        (["finetune", "films.csv", "--text-column", "txt", "--label-column", "kind"], "Did you mean 'text'?"),
        (["finetune", "films.csv", "--text-column", "kind", "--label-column", "text"], "has 40 different values, 0 of them"),
        (["finetune", "films.csv", *COLUMNS, "--epochs", "0"], "num_epochs"),
        (["finetune", "films.csv", *COLUMNS, "--resume"], "There is no films-model.unfinished"),
        (
            ["finetune", "films.csv", *COLUMNS, "--learning-rate", "nan"],
            "learning_rate must be a number above 0 to 10, not nan",
        ),
        (["finetune", "films.csv", *COLUMNS, "--checkpoint", "no/such-folder/here"], "no/such-folder/here"),
        pytest.param(
            ["finetune", "films.csv", *COLUMNS, "--max-length", "9999"], "3 to 512 tokens, not 9999", marks=pytest.mark.slow
        ),
        (["predict", "films.csv", "--text", "a film"], "contains no fine-tuned classifier"),
        (["predict", "."], "Give a table with --text-column NAME, or --text"),
        (
            ["predict", ".", "films.csv", "--text-column", "text", "--out", "films.csv"],
            "films.csv already exists and is not overwritten",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_writes_nothing(desk, capsys, arguments, message):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("course: ") and error.count("\n") == 1 and message in error
    assert [path.name for path in desk.iterdir()] == ["films.csv"]


def test_predictions_on_a_full_disk_are_one_sentence_and_leave_no_part(desk, capsys, monkeypatch):
    folder = make_finished(desk / "mine")

    def full(frame, path, **options):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    assert cli.main(["predict", str(folder), "films.csv", "--text-column", "text", "--out", "new.csv"]) == 2
    assert capsys.readouterr().err.startswith(
        "course: The disk is full: new.csv.unfinished/000000000000.csv could not be written. What was there before"
    )
    assert {path.name for path in desk.iterdir()} == {"films.csv", "mine"}


def test_a_report_of_progress_in_a_folder_that_is_not_there_is_one_sentence(desk, capsys, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", str(desk / "progress.json"))
    assert cli.main(["progress", "--export", "absent/report.json"]) == 2
    error = capsys.readouterr().err
    assert "report.json could not be read or written (no such file or directory)" in error and error.count("\n") == 1


@pytest.mark.slow
def test_from_a_table_to_predictions_in_two_commands(desk, capsys):
    command = ["finetune", "films.csv", *COLUMNS, "--epochs", "1", "--max-length", "8", "--out", "mine"]
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert "films.csv: 40 usable rows (bad 20, good 20), 0 set aside" in printed.out
    assert "training takes about" in printed.out and "fine-tuned" in printed.out
    assert "Model, card and report.html are in mine" in printed.out
    assert cli.main(command) == 2 and "mine already exists and is not overwritten" in capsys.readouterr().err
    (desk / "new.csv").write_text('text\n"film 3, again"\nfilm 4, again\n""\nfilm 5\n')
    assert cli.main(["predict", "mine", "new.csv", "--text-column", "text"]) == 0
    assert "predictions.csv: 4 rows; 1 got no prediction" in capsys.readouterr().out
    lines = (desk / "predictions.csv").read_text().splitlines()
    assert lines[0] == "row,text,prediction,confidence,p(bad),p(good),note"
    assert (
        lines[1].startswith('2,"film 3, again",')
        and lines[2].startswith('3,"film 4, again"')
        and lines[3] == "4,,,,,,missing text"
        and lines[4].startswith("5,film 5,")
    )
    assert cli.main(["predict", "mine", "--text", "film 3, again"]) == 0
    assert "film 3, again" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_shell_keeps_the_run_and_says_how_to_go_on(desk, capsys, number):
    typed = ["finetune", "films.csv", *COLUMNS, "--epochs", "500", "--max-length", "8"]
    with open(desk / "log", "wb") as log:
        listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a runner in the background ignores it
        options = {"cwd": desk, "stdout": log, "stderr": log, "env": _with_bars(), "preexec_fn": listen}
        process = subprocess.Popen([sys.executable, "-m", "course_utils", *typed], **options)
        while b"step" not in (desk / "log").read_bytes() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(number)
        assert process.wait(timeout=300) == 2, (desk / "log").read_text()
    says = (desk / "log").read_text()
    assert "Traceback" not in says and "The run so far is in films-model.unfinished" in says
    assert f"To go on with it: {' '.join(['course', *typed])} --resume" in says
    assert len(list((desk / "films-model.unfinished" / "checkpoints").glob("step-*"))) == 2
    typed[typed.index("500")] = "1"
    assert cli.main([*typed, "--resume"]) == 2 and "num_epochs (500 then, 1 now)" in capsys.readouterr().err
    assert cli.main(typed) == 2 and "Go on with a stopped one (--resume)" in capsys.readouterr().err


def _with_bars() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}


def test_the_lab_opens_before_the_doctor_has_looked_and_its_problems_are_printed(monkeypatch, capsys):
    events, may_look, has_looked = [], threading.Event(), threading.Event()

    def examine():
        assert may_look.wait(10)
        events.append("examined")
        return [Finding("disk", False, "0.1 GiB free", "free some space"), Finding("memory", True, "3 GiB free")]

    def opens(module, folder):
        events.append(module[0])
        may_look.set()
        assert has_looked.wait(10)
        return 0

    found = cli._report_problems
    monkeypatch.setattr(doctor, "examine", examine)
    monkeypatch.setattr(cli, "_report_problems", lambda: (found(), has_looked.set()))
    monkeypatch.setattr(cli, "_run", opens)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "theirs")
    assert cli.main(["lab", "--no-browser"]) == 0
    assert events == ["jupyterlab", "examined"]
    out = capsys.readouterr().out
    assert "FIX disk: 0.1 GiB free\n    to fix it: free some space" in out and "memory" not in out
    settings, theirs = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    (overrides,) = Path(settings).glob("labconfig/default_setting_overrides.json")
    assert theirs == "theirs" and json.loads(overrides.read_text()).popitem()[1]["fetchNews"] == "false"
