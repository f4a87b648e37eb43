"""Set up the Fine-Tuning Course and open it, with nothing but Python itself.

    python3 start.py            set up, check this machine, open JupyterLab
    python3 start.py setup      only set up, with a network; fetches the model of notebook 14 if it is missing
    python3 start.py doctor     set up, then check this machine and say what to fix
    python3 start.py torchtext  set up, then add the kernel of notebook 03b (an old torch, 3 GB more to download)
    python3 start.py test       set up, install what the tests need, then run them (`test fast`: only the quick ones)

If there is a folder `wheels` beside this file (`course bundle` makes such a copy of the course), packages are installed
from it and no network is needed. `--bundle FOLDER` uses another folder.

You can run it again at any time: it keeps what is there, and replaces a working environment only by a complete one.
"""

from __future__ import print_function

import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

if sys.version_info >= (3, 11):
    from tools import installer

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
NEXT = os.path.join(HERE, ".next")  # the successor of .venv; its name is as long, so that paths in programs can be replaced
PREVIOUS = os.path.join(HERE, ".prev")
PROJECT = os.path.join(HERE, "pyproject.toml")
LOCKS = {"lab": os.path.join(HERE, "requirements.lock"), "test": os.path.join(HERE, "requirements-test.lock")}
WHEELS = os.path.join(HERE, "wheels")
ACTIONS = ("lab", "setup", "doctor", "torchtext", "test")
NEEDED_GB, FETCHED_GB = (8, 3) if sys.platform.startswith("linux") else (3, 1)  # CUDA's libraries are most of it
OLDEST, NEWEST, PREFERRED = (3, 11), (3, 14), ("3.13", "3.12", "3.11", "3.14")
MISLEADING = (  # variables that would lead Python, pip or uv to other packages than those of the lock
    "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "UV_FIND_LINKS",
    "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__",
)  # fmt: skip


def say(text):
    print("[start] " + text)
    sys.stdout.flush()


def stop(problem, remedy):
    """Leave with one line for the problem and one for what to do about it."""
    sys.exit("[start] {}\n[start] What to do: {}".format(problem, remedy))


def check(problem):
    """Leave if there is a problem: a sentence, and another for what to do about it."""
    if problem:
        stop(*problem)


def clean_environment():
    """Return the environment variables without the misleading ones."""
    kept = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0", PYTHONUTF8="1")
    return kept


def ask(command):
    """Run a command and return (exit status, what it prints); status 1 where it does not start."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        process = subprocess.Popen(command, cwd=HERE, env=clean_environment(), **pipes)
    except OSError as error:
        return 1, str(error)
    output = process.communicate()[0].decode("utf-8", "replace")
    return process.returncode, output.strip()


def run(command):
    """Run a command to its end and return its exit status; Ctrl+C is the command's own business."""
    process = subprocess.Popen(command, cwd=HERE, env=clean_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()


def find_python(versions=PREFERRED):
    """Return a Python of one of these versions, from the path, py or pyenv; None if there is none."""
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    for version in versions:
        show = "import sys; print(sys.executable if '%d.%d' % sys.version_info[:2] == '{}' else '')".format(version)
        kept = sorted(glob.glob(os.path.join(pyenv, "versions", version + ".*", "bin", "python")))
        for command in [["python" + version], ["py", "-" + version]] + [[path] for path in kept]:
            status, found = ask(command + ["-c", show])
            if status == 0 and found:
                return found
    return None


def python_of_uv(version):
    """Let uv (from the path, else the locked one, which pip brings) fetch a Python; return its path, else None."""
    uv, folder, pin = ["uv"], os.path.join(HERE, ".uv"), os.path.join(HERE, ".uv.txt")
    say("No suitable Python was found; trying to fetch Python {} with uv.".format(version))
    if ask(uv + ["--version"])[0]:
        uv = [os.path.join(folder, "bin", "uv.exe" if os.name == "nt" else "uv")]
        with open(pin, "wb") as file:
            file.write(locked("uv").encode("utf-8"))
        fetch = ["install", "--quiet", "--no-deps", "--require-hashes", "--upgrade", "--target", folder, "-r", pin]
        ask([sys.executable, "-m", "pip"] + fetch)
        os.remove(pin)
    ask(uv + ["python", "install", version])
    status, found = ask(uv + ["python", "find", version])
    return found.splitlines()[-1] if status == 0 and found else None


def start_again(version, arguments):
    """Run this file with a Python that fits; leave where none is to be had."""
    problem = "This is Python {}.{}; the course runs on Python 3.11, 3.12, 3.13 and 3.14".format(*version)
    python = find_python() or python_of_uv(PREFERRED[0])
    if not python:
        stop(problem + ", and none was found.", "install one of those, then type, for example: python3.12 start.py")
    say("{}. Continuing with {}.".format(problem, python))
    return run([python, os.path.abspath(__file__)] + arguments)


def venv_program(name, folder=VENV):
    """Return the path of a program inside an environment."""
    return os.path.join(folder, *(("Scripts", name + ".exe") if os.name == "nt" else ("bin", name)))


def requirements(lock):
    """Return the requirements of a lock, one a line with its hashes, in order, without comments and blank lines."""
    with open(lock, "rb") as file:
        text = re.sub(r"(?m)(^|\s)#.*$", "", file.read().decode("utf-8"))
    lines = re.sub(r"\\\s*\n", " ", text).splitlines()
    return sorted(" ".join(line.split()) for line in lines if line.strip())


def locked(name):
    """Return the line that pins a package, with its hashes."""
    return next(line for line in requirements(LOCKS["lab"]) if line.startswith(name + "==")) + "\n"


def made_from(with_tests=False):
    """Return what the environment is made from: the place of this folder, requirements, the package's declaration."""
    with open(PROJECT, "rb") as file:
        parts = {"folder": HERE, "course": hashlib.sha256(file.read()).hexdigest()}
    for part in ("lab", "test") if with_tests else ("lab",):
        text = "\n".join(requirements(LOCKS[part])) + installer.torch_flavour(HERE)
        parts[part] = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return parts


def read_stamp(folder=VENV):
    """Return what a finished environment was made from; empty if it was never finished."""
    try:
        with open(os.path.join(folder, "installed-from"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(parts, folder=VENV):
    with open(os.path.join(folder, "installed-from"), "w", encoding="utf-8") as file:
        json.dump(parts, file, indent=1)


def require_success(status, output, action="setup"):
    """Leave with a sentence for what an installer printed if its exit status is not 0."""
    bundle = bool(from_bundle("lab"))
    if status:
        stop(*installer.explain(output, needed=NEEDED_GB, fetched=FETCHED_GB, action=action, bundle=bundle))


def attempt(command):
    """Run an installer command, say how much it has fetched, and return (exit status, output)."""
    return installer.attempt(command, HERE, clean_environment(), say)


def from_bundle(part):
    """Return what makes pip and uv install from the bundle's wheels; what tests need may come from the network too."""
    source = ["--find-links", WHEELS] if os.path.isdir(WHEELS) else []
    return ["--no-index"] + source if source and part == "lab" else source


def install_packages(folder, part):
    """Install a hashed lock into an environment; leave with a sentence where that fails."""
    python, source = venv_program("python", folder), from_bundle(part)
    amount = "" if source else "; up to {} GB is fetched".format(FETCHED_GB)
    say("Installing {}, each package checked against its hash.".format(os.path.basename(LOCKS[part])))
    say("This takes 1 to 10 minutes and is done once{}.".format(amount))
    status, output = installer.install(folder, python, locked("uv"), LOCKS[part], source, attempt, say)
    require_success(status, output, "test" if part == "test" else "setup")


def install_course(folder):
    """Install the course's own package in place; its build tool comes from the lock, so no network is needed."""
    pip = [venv_program("python", folder), "-m", "pip", "install"]
    require_success(*attempt(pip + ["--no-deps", "--no-build-isolation", "-e", HERE]))


def make_environment():
    """Create an empty environment in .next."""
    base = getattr(sys, "_base_executable", None) or sys.executable  # never the Python of an environment
    require_success(*ask([base, "-m", "venv", "--clear", "--prompt", ".venv", NEXT]))


def build(parts):
    """Make a whole environment in .next; .venv stays as it is, and what a failure leaves is removed."""
    check(installer.bundle_problem(WHEELS) if from_bundle("lab") else None)
    check(installer.folder_problem(HERE, NEEDED_GB))
    try:
        make_environment()
        install_packages(NEXT, "test" if "test" in parts else "lab")
        install_course(NEXT)
        require_success(*ask([venv_program("python", NEXT), "-I", "-c", "import torch, jupyterlab, course_utils"]))
        write_stamp(parts, NEXT)
    except BaseException:
        shutil.rmtree(NEXT, ignore_errors=True)
        say("The environment in .venv was not changed." if os.path.exists(VENV) else "No environment was created.")
        raise


def swap():
    """Put the finished .next in the place of .venv."""
    installer.move_programs(os.path.dirname(venv_program("python", NEXT)), NEXT, VENV)
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    try:
        if os.path.lexists(VENV):
            os.rename(VENV, PREVIOUS)
        os.rename(NEXT, VENV)
    except OSError as error:
        if not os.path.lexists(VENV) and os.path.lexists(PREVIOUS):
            os.rename(PREVIOUS, VENV)
        problem = "The new environment is complete, but the old one cannot be moved away: {}".format(error)
        stop(problem, "close JupyterLab and whatever else uses it, then run start.py again.")
    shutil.rmtree(PREVIOUS, ignore_errors=True)


def set_up(with_tests=False, with_model=False):
    """Make the environment, or what of it is missing. With a new one the language model, which only notebook 14 needs."""
    if os.path.lexists(PREVIOUS) and not os.path.lexists(VENV):  # stopped in the middle of a swap
        os.rename(PREVIOUS, VENV)
    done, python = read_stamp(), venv_program("python")
    parts = made_from(with_tests or "test" in done)
    reasons = (
        ("there is none yet", os.path.lexists(VENV)),
        ("it was never finished", done),
        ("this folder was moved or copied, and an environment cannot be moved", done.get("folder") == HERE),
        ("the packages of requirements.lock have changed", done.get("lab") == parts["lab"]),
        ("its Python does not start any more", ask([python, "-c", ""])[0] == 0),
    )
    reason = next((reason for reason, holds in reasons if not holds), None)
    if reason:
        say("Creating the environment of the course: {}.".format(reason))
        if read_stamp(NEXT) != parts:
            build(parts)
        swap()
    elif done != parts:
        check(installer.folder_problem(HERE, 1))
        if done.get("test") != parts.get("test"):
            install_packages(VENV, "test")  # in place: it only adds to what works
        install_course(VENV)
        write_stamp(parts)
    kernel = ["tools.torchtext_kernel", "--register"] if os.path.exists(os.path.join(HERE, ".kernels")) else []
    model = ["course_utils.language_model"] + from_bundle("lab") if reason or with_model else []
    for module in filter(None, (kernel, model)):  # the kernel each time: a new .venv, however made, does not know it
        subprocess.call([python, "-m"] + module, cwd=HERE, env=clean_environment())
    say("The environment in .venv is ready; no network is needed.")


def main(arguments):
    global WHEELS  # where --bundle says that packages are
    if {"-h", "--help", "help"} & set(arguments[:1]):
        print(__doc__)
        return 0
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return start_again(sys.version_info[:2], arguments)
    if "--bundle" in arguments:
        place = arguments.index("--bundle")
        folder = os.path.abspath("".join(arguments[place + 1 : place + 2]))
        WHEELS = os.path.join(folder, "wheels") if os.path.isdir(os.path.join(folder, "wheels")) else folder
        check(installer.bundle_problem(WHEELS))
        arguments = arguments[:place] + arguments[place + 2 :]
    action = arguments[0] if arguments else "lab"
    if action not in ACTIONS:
        stop("There is no action {!r}.".format(action), "choose one of: " + ", ".join(ACTIONS))
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?"
    try:
        set_up(action == "test", action == "setup")
    except KeyboardInterrupt:
        stop("Stopped.", "run start.py again; what was fetched so far is not fetched twice.")
    except OSError as error:
        require_success(1, str(error))
    module = ["tools.torchtext_kernel"] if action == "torchtext" else ["course_utils.cli", action]
    return 0 if action == "setup" else run([venv_program("python"), "-m"] + module + arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
