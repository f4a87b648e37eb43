"""Set up the Fine-Tuning Course and open it, with nothing but Python itself.

    python3 start.py            set up, check the machine, open JupyterLab
    python3 start.py setup      set up only (while there is a network)
    python3 start.py doctor     set up, then say what this machine offers
    python3 start.py torchtext  set up, then add the kernel of notebook 04 (an old torch, 3 GB more to fetch)
    python3 start.py test       set up, then run every test
    python3 start.py test fast  set up, then run the tests that take less than a minute

Where a folder `wheels` lies beside this file (`course bundle` makes such a copy of the course), packages are installed
from it and no network is asked; `--bundle FOLDER` names another place for it.

Running it again is safe: what is already there is kept. Any Python from 2.7 on can read this file, so that an
old one can say that it is too old.
"""

from __future__ import print_function

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
LOCK = os.path.join(HERE, "requirements.lock")
PROJECT = os.path.join(HERE, "pyproject.toml")
STAMP = os.path.join(VENV, "installed-from")
KERNEL = os.path.join(HERE, ".kernels", "torchtext")
KERNEL_STAMP = os.path.join(KERNEL, "installed-from")
KERNEL_FILES = os.path.join(HERE, "kernels", "torchtext")
WHEELS = os.path.join(HERE, "wheels")
ACTIONS = ("lab", "setup", "doctor", "torchtext", "test")
# On Linux torch comes with CUDA libraries, which are most of it.
NEEDED_GB, FETCHED_GB, NEEDED_TORCHTEXT_GB = (8, 3, 7) if sys.platform.startswith("linux") else (3, 1, 3)
OLDEST, NEWEST = (3, 11), (3, 13)


def say(text):
    print("[start] " + text, flush=True)


def stop(problem, remedy):
    """Leave with one line for the problem and one for what to do about it."""
    sys.exit("[start] {}\n[start] What to do: {}".format(problem, remedy))


def check_python(version):
    """Leave unless `version`, a pair, is one that the course is tested on."""
    if not OLDEST <= version <= NEWEST:
        found = ".".join(map(str, version))
        stop(
            "This is Python {}; the course runs on Python 3.11, 3.12 and 3.13.".format(found),
            "install one of those, then type, for example: python3.12 start.py",
        )


def check_folder(needed=NEEDED_GB):
    """Leave if the new environment could not be written here, or would not fit on the disk."""
    if not os.access(HERE, os.W_OK):
        stop(
            "This folder cannot be written to: {}".format(HERE),
            "copy the course to a folder of your own, for example in your home, and run start.py there.",
        )
    free = shutil.disk_usage(HERE).free / 2.0**30
    if free < needed:
        stop(
            "The disk has {:.1f} GB free; the environment needs about {} GB.".format(free, needed),
            "free some space, or move this folder to a larger disk, then run start.py again.",
        )


def venv_program(name, folder=VENV):
    """Return the path of a program inside an environment."""
    if os.name == "nt":
        return os.path.join(folder, "Scripts", name + ".exe")
    return os.path.join(folder, "bin", name)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def fingerprint():
    """Return what the environment is made from: the place of this folder, the lock, the package's declaration."""
    return [HERE, sha256(LOCK), sha256(PROJECT)]


def read_stamp():
    """Return the fingerprint that the finished environment was made from; empty if it was never finished."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, ValueError):
        return []


def write_stamp():
    with open(STAMP, "w", encoding="utf-8") as file:
        file.write("\n".join(fingerprint()))


def python_works(python):
    """Return whether an environment's Python is there and starts."""
    try:
        return subprocess.call([python, "-c", ""], env=clean_environment()) == 0
    except OSError:
        return False


def is_made_from(stamp, expected, python):
    """Return whether an environment was finished, from what is there now, and its Python is in place."""
    try:
        with open(stamp) as file:
            return file.read() == expected and os.path.exists(python)
    except OSError:
        return False


# Variables that would lead Python, pip or uv to other packages than those of the lock.
MISLEADING = (
    "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "UV_FIND_LINKS",
    "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__",
)  # fmt: skip


def clean_environment():
    """Return the environment variables without the misleading ones."""
    kept = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0", PYTHONUTF8="1")
    return kept


def remove_environment(done):
    """Delete .venv, and say why; `done` is the stamp found in it."""
    if not done:
        reason = "it was left half made"
    elif done[0] != HERE:
        reason = "this folder was moved or copied, and environments cannot move"
    elif done[1:2] != fingerprint()[1:2]:
        reason = "requirements.lock has changed"
    else:
        reason = "its Python does not start any more"
    say("Making the environment in .venv anew: {}.".format(reason))
    try:
        shutil.rmtree(VENV)
    except OSError as error:
        stop(
            "The old environment cannot be deleted: {}".format(error),
            "close JupyterLab and whatever else uses it, delete the folder .venv, then run start.py again.",
        )


def make_environment():
    """Create an empty .venv."""
    say("Creating an environment in .venv (a few seconds).")
    base = getattr(sys, "_base_executable", None) or sys.executable  # never the Python of an environment
    made = subprocess.run(
        [base, "-m", "venv", VENV], env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode:
        output = made.stdout.decode("utf-8", "replace")
        if "ensurepip" in output:
            package = "python{}.{}-venv".format(*sys.version_info[:2])
            stop(
                "This Python cannot create environments: its part 'ensurepip' is missing.",
                "sudo apt install {} (Debian, Ubuntu), then run start.py again.".format(package),
            )
        explain_failure(output)


# What pip, uv and the systems print, in small letters, when...
OFFLINE = (
    "resolve host", "name resolution", "dns error", "nodename nor servname", "getaddrinfo", "network is unreachable",
    "new connection", "connection error", "connection refused", "connecttimeout", "timed out", "error sending request",
)  # fmt: skip
DISK_FULL = ("no space left", "disk quota", "not enough space", "os error 28", "os error 112")
NOT_PUBLISHED = ("no wheels with a matching", "no matching distribution", "could not find a version that satisfies")
PATH_TOO_LONG = ("long path", "filename or extension is too long", "file name too long", "os error 206")
FORBIDDEN = ("permission denied", "access is denied", "read-only file system")


def has_sign(output, signs):
    return any(sign in output.lower() for sign in signs)


def explain_failure(output, folder=".venv", action="setup"):
    """Leave with a sentence for what an installer printed."""
    if has_sign(output, DISK_FULL):
        stop(
            "The disk became full while installing.",
            "free about {} GB (pip and uv also keep a cache in your home), then run start.py again.".format(NEEDED_GB),
        )
    if has_sign(output, OFFLINE):
        stop(
            "The packages could not be fetched: there seems to be no network.",
            "connect once (about {} GB is fetched), run: python3 start.py {} - afterwards no network is needed.".format(
                FETCHED_GB, action
            ),
        )
    if from_bundle() and has_sign(output, NOT_PUBLISHED + ("do not match the hashes", "hash mismatch")):
        stop(
            "A package is missing from the bundle, or was damaged on the way: {}".format(output.strip()[-300:]),
            "copy the whole folder again from where it was made.",
        )
    if has_sign(output, NOT_PUBLISHED):
        stop(
            "A package was not published for this kind of machine ({}, {}): {}".format(
                platform.system(), platform.machine(), output.strip()[-300:]
            ),
            "torch needs 64-bit Linux or Windows, or a Mac with Apple silicon; elsewhere open the notebooks in Colab.",
        )
    if has_sign(output, PATH_TOO_LONG):
        stop(
            "The path of this folder is too long for the files of the environment.",
            "move the course to a short path, for example C:\\course, and run start.py there.",
        )
    if has_sign(output, FORBIDDEN):
        stop(
            "A file could not be written: " + output.strip()[-300:],
            "close JupyterLab, or copy the course to a folder of your own, then run start.py again.",
        )
    stop(
        "Installing failed: " + output.strip()[-600:],
        "delete " + folder + " and run start.py again; if it fails again, report this text.",
    )


def attempt(command):
    """Run an installer command, show its output as it comes, and return (exit status, output)."""
    shown = ("Downloading", "Installing", "Resolved", "Prepared", "Installed", "Collecting torch")
    try:
        process = subprocess.Popen(
            command, cwd=HERE, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        return 1, str(error)
    lines = []
    with process:
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            lines.append(line)
            if line.strip().startswith(shown):
                say("  " + line.strip()[:100])
    return process.returncode, "".join(lines)


def locked(name):
    """Return the lines of requirements.lock that pin one package, with its hashes."""
    with open(LOCK, encoding="utf-8") as file:
        lines = file.read().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(name + "=="))
    after = next((n for n in range(first + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return "\n".join(line for line in lines[first:after] if not line.lstrip().startswith("#")).rstrip("\\ ")


def from_bundle():
    """Return what tells pip and uv to install from the bundle's wheels alone; nothing where there is no bundle."""
    return ["--no-index", "--find-links", WHEELS] if os.path.isdir(WHEELS) else []


def this_machine():
    """Return system, machine and Python of this computer, in the words of made-for.json (tools/bundle.py writes them)."""
    return {
        "system": platform.system(),
        "machine": platform.machine().lower().replace("amd64", "x86_64").replace("aarch64", "arm64"),
        "python": "{}.{}".format(*sys.version_info[:2]),
    }


def check_bundle(wheels):
    """Leave unless the wheels were collected for this kind of machine and this Python."""
    try:
        with open(os.path.join(wheels, "made-for.json"), encoding="utf-8") as file:
            made_for = json.load(file)
    except (OSError, ValueError):
        stop(
            "There is no finished bundle of packages in {}.".format(wheels),
            "copy the whole folder again, or make it with: course bundle FOLDER",
        )
    here = this_machine()
    wrong = sorted(key for key in here if made_for.get(key) != here[key])
    if wrong:
        stop(
            "The bundle was made for {system}, {machine}, Python {python}; ".format(**made_for)
            + "here is {system}, {machine}, Python {python}.".format(**here),
            "use that Python, or make a bundle on a machine like this one: course bundle FOLDER",
        )


def fetch_uv(python):
    """Install uv, the quick installer, as the lock pins it, and return the command that runs it (None: not to be had)."""
    pinned = os.path.join(VENV, "uv.txt")
    with open(pinned, "w", encoding="utf-8") as file:
        file.write(locked("uv") + "\n")
    fetch = ["install", "--quiet", "--no-deps", "--retries", "2", "--require-hashes", "-r", pinned]
    status, output = attempt([python, "-m", "pip"] + fetch + from_bundle())
    if status and has_sign(output, OFFLINE):
        explain_failure(output)
    return None if status else [python, "-m", "uv", "pip", "install", "--python", python]


def install_packages(python):
    """Fill .venv from the hashed lock: with uv where it can be had (quick), else with pip."""
    say("Installing about 200 packages from requirements.lock, each checked against its hash.")
    if from_bundle():
        say("They come from {}; no network is needed. This takes 1 to 5 minutes and is done once.".format(WHEELS))
    else:
        say("About {} GB is fetched. This takes 1 to 10 minutes, by the network, and is done once.".format(FETCHED_GB))
    from_lock = ["--require-hashes", "-r", LOCK] + from_bundle()
    uv = fetch_uv(python)
    if uv:
        status, output = attempt(uv + from_lock)
        if status == 0:
            return
        if has_sign(output, DISK_FULL):
            explain_failure(output)
    say("uv did not manage it here; trying again with pip, which takes longer.")
    status, output = attempt([python, "-m", "pip", "install"] + from_lock)
    if status:
        explain_failure(output)


def install_course(python):
    """Install the course's own package in place; its build tool comes from the lock, so no network is needed."""
    status, output = attempt([python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-e", HERE])
    if status:
        explain_failure(output)


def set_up():
    """Make the environment, or what of it is missing."""
    python, done, wanted = venv_program("python"), read_stamp(), fingerprint()
    whole = done[:2] == wanted[:2] and python_works(python)
    if whole and done == wanted:
        say("The environment in .venv is ready.")
        return
    check_folder(0.1 if whole else NEEDED_GB)
    if not whole:
        if from_bundle():
            check_bundle(WHEELS)
        if os.path.lexists(VENV):
            remove_environment(done)
        make_environment()
        install_packages(python)
    install_course(python)
    write_stamp()
    if torchtext_is_made():
        register_torchtext(venv_program("python", KERNEL))  # a new .venv does not know it yet
    say("The environment in .venv is ready; from here on no network is needed.")


def check_torchtext_machine(system, machine):
    """Leave unless torch 2.3.1 and torchtext 0.18.0 were published for this kind of machine."""
    if (system, machine.lower()) not in (("linux", "x86_64"), ("win32", "amd64"), ("darwin", "arm64")):
        stop(
            "torchtext 0.18.0 was published for 64-bit PCs with Linux or Windows and for Apple silicon, "
            "not for {} on {}.".format(system, machine),
            "read notebook 04 with the outputs it was saved with; every other notebook runs here.",
        )


def python_for_torchtext(uv_is_here):
    """Return a Python 3.11 or 3.12: its path, or the version number that uv is to bring."""
    show = "import sys; print(sys.executable if (3, 11) <= sys.version_info[:2] <= (3, 12) else '')"
    for command in ([sys.executable], ["python3.12"], ["python3.11"], ["py", "-3.12"], ["py", "-3.11"]):
        try:
            found = subprocess.run(command + ["-c", show], capture_output=True, text=True).stdout.strip()
        except OSError:
            continue
        if found:
            return found
    return "3.12" if uv_is_here else None


def torchtext_fingerprint():
    """Return what the kernel's environment is made from: its lock and the place of the course."""
    with open(os.path.join(KERNEL_FILES, "requirements.lock"), "rb") as file:
        return hashlib.sha256(file.read() + HERE.encode()).hexdigest()


def register_torchtext(python):
    """Write the kernel's description where the JupyterLab of .venv looks for kernels."""
    with open(os.path.join(KERNEL_FILES, "kernel.json"), encoding="utf-8") as file:
        spec = json.load(file)
    spec["argv"][0] = python
    folder = os.path.join(VENV, "share", "jupyter", "kernels", "torchtext")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "kernel.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file, indent=1)


def make_torchtext_environment(python):
    """Create and fill .kernels/torchtext from its hashed lock: with uv where .venv has it, else with pip."""
    check_folder(NEEDED_TORCHTEXT_GB)
    uv = [venv_program("python"), "-m", "uv"]
    uv_is_here = subprocess.run(uv + ["--version"], capture_output=True).returncode == 0
    found = python_for_torchtext(uv_is_here)
    shutil.rmtree(KERNEL, ignore_errors=True)
    status = 1
    if found:
        say("Creating an environment in .kernels/torchtext with Python {}.".format(found))
        status, _ = attempt(uv + ["venv", "--python", found, KERNEL] if uv_is_here else [found, "-m", "venv", KERNEL])
    if status:
        stop(
            "The torchtext kernel needs Python 3.11 or 3.12, and no working one was found beside this Python {}.{}.".format(
                *sys.version_info[:2]
            ),
            "install Python 3.12 (Debian, Ubuntu: sudo apt install python3.12-venv), then type: python3 start.py torchtext",
        )
    say("Installing torch 2.3.1, torchtext 0.18.0 and what they need, each checked against its hash.")
    say("About 3 GB is fetched on Linux, less elsewhere: 1 to 10 minutes, by the network, once.")
    pip = uv + ["pip", "install", "--python", python] if uv_is_here else [python, "-m", "pip", "install"]
    lock = os.path.join(KERNEL_FILES, "requirements.lock")
    for step in (["--require-hashes", "-r", lock], ["--no-deps", "--no-build-isolation", "-e", HERE]):
        status, output = attempt(pip + step)
        if status:
            explain_failure(output, folder=".kernels", action="torchtext")
    load = [python, "-c", "import torchtext"]
    tried = subprocess.run(load, env=clean_environment(), capture_output=True, text=True)
    if tried.returncode:
        stop("torchtext was installed but does not load: " + tried.stderr.strip()[-300:], "report this text.")


def torchtext_is_made():
    """Return whether the kernel's environment is there and up to date."""
    python = venv_program("python", KERNEL)
    return os.path.exists(KERNEL_STAMP) and is_made_from(KERNEL_STAMP, torchtext_fingerprint(), python)


def set_up_torchtext():
    """Make the environment of the torchtext kernel unless it is there, and register the kernel."""
    check_torchtext_machine(sys.platform, platform.machine())
    python = venv_program("python", KERNEL)
    if not torchtext_is_made():
        make_torchtext_environment(python)
        with open(KERNEL_STAMP, "w") as file:
            file.write(torchtext_fingerprint())
    register_torchtext(python)
    say("The kernel torchtext is ready: open notebooks/04_the_published_listing.ipynb in JupyterLab.")


def run(command):
    """Run a command to its end and return its exit status; Ctrl+C is the command's own business."""
    process = subprocess.Popen(command, cwd=HERE, env=clean_environment())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()


def without_bundle(arguments):
    """Return the arguments without `--bundle FOLDER`, and the folder of wheels that it names (None: not asked for)."""
    if "--bundle" not in arguments:
        return arguments, None
    place = arguments.index("--bundle")
    folder = os.path.abspath("".join(arguments[place + 1 : place + 2]))
    inside = os.path.join(folder, "wheels")
    return arguments[:place] + arguments[place + 2 :], inside if os.path.isdir(inside) else folder


def main(arguments):
    global WHEELS  # where --bundle says that packages are
    arguments, bundle = without_bundle(arguments)
    action = arguments[0] if arguments else "lab"
    if action in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    check_python(tuple(sys.version_info[:2]))
    if bundle:
        check_bundle(bundle)
        WHEELS = bundle
    if action not in ACTIONS:
        stop("There is no action {!r}.".format(action), "choose one of: " + ", ".join(ACTIONS))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?"
    try:
        set_up()
        if action == "torchtext":
            set_up_torchtext()
    except KeyboardInterrupt:
        stop("Stopped.", "run start.py again; what was fetched so far is not fetched twice.")
    except OSError as error:
        explain_failure(str(error))
    if action in ("setup", "torchtext"):
        return 0
    return run([venv_program("python"), "-m", "course_utils.cli", action] + arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
