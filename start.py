"""Set up the Fine-Tuning Course and open it, with nothing but Python itself.

    python3 start.py            set up, check the machine, open JupyterLab
    python3 start.py setup      set up only (while there is a network)
    python3 start.py doctor     set up, then say what this machine offers
    python3 start.py torchtext  set up, then add the kernel of notebook 04 (an old torch, 3 GB more to fetch)
    python3 start.py test       set up, then run every test
    python3 start.py test fast  set up, then run the tests that take less than a minute

Running it again is safe: what is already there is kept.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
LOCK = os.path.join(HERE, "requirements.lock")
STAMP = os.path.join(VENV, "installed-from")
KERNEL = os.path.join(HERE, ".kernels", "torchtext")
KERNEL_FILES = os.path.join(HERE, "kernels", "torchtext")
ACTIONS = ("lab", "setup", "doctor", "torchtext", "test")
NEEDED_GB, NEEDED_TORCHTEXT_GB = 8, 7
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


def check_disk(needed=NEEDED_GB):
    """Leave if the new environment would not fit on the disk."""
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


def fingerprint():
    """Return what the environment is made from: Python, the lock and the package's own declaration."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (LOCK, os.path.join(HERE, "pyproject.toml")):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_made_from(stamp, expected, python):
    """Return whether an environment was finished, from what is there now, and its Python is in place."""
    try:
        with open(stamp) as file:
            return file.read() == expected and os.path.exists(python)
    except OSError:
        return False


def is_installed():
    return is_made_from(STAMP, fingerprint(), venv_program("python"))


def installer_environment():
    """Return the environment for pip and uv without settings that would replace locked wheels."""
    dropped = ("PIP_FIND_LINKS", "UV_FIND_LINKS", "PIP_REQUIRE_VIRTUALENV", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    kept["UV_LINK_MODE"] = kept.get("UV_LINK_MODE", "copy")
    return kept


def make_environment():
    """Create .venv, in place of one that was left half made."""
    if os.path.isdir(VENV):
        say("Replacing an environment that is out of date or was left half made.")
        shutil.rmtree(VENV)
    say("Creating an environment in .venv (a few seconds).")
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
    if made.returncode:
        if "ensurepip" in made.stdout + made.stderr:
            package = "python{}.{}-venv".format(*sys.version_info[:2])
            stop("This Python cannot create environments: its part 'ensurepip' is missing.", "sudo apt install " + package)
        stop("Creating .venv failed: " + (made.stderr or made.stdout).strip()[-300:], "delete .venv and run start.py again.")


def explain_failure(output, folder=".venv", action="setup"):
    """Leave with a sentence for what an installer printed."""
    if "No space left" in output or "Disk quota" in output or "not enough space" in output:
        stop("The disk became full while installing.", "free about {} GB, then run start.py again.".format(NEEDED_GB))
    offline = (
        "connection",
        "resolve host",
        "name resolution",
        "dns error",
        "network",
        "Could not find a version",
        "timed out",
    )
    if any(sign.lower() in output.lower() for sign in offline):
        stop(
            "The packages could not be fetched: there seems to be no network.",
            "connect once (about 3 GB is fetched), run: python3 start.py " + action + " - afterwards no network is needed.",
        )
    stop(
        "Installing failed: " + output.strip()[-600:],
        "delete " + folder + " and run start.py again; if it fails again, report this text.",
    )


def attempt(command):
    """Run an installer command, show its output as it comes, and return (exit status, output)."""
    with subprocess.Popen(
        command, cwd=HERE, env=installer_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(("Downloading", "Installing", "Resolved", "Prepared", "Installed", "Collecting torch")):
                say("  " + line.strip()[:100])
    return process.returncode, "".join(lines)


def install():
    """Fill .venv from the hashed lock: with uv where it can be had (quick), else with pip."""
    python = venv_program("python")
    say("Installing about 200 packages from requirements.lock, each checked against its hash.")
    say("This takes 1 to 10 minutes, by the network, and is done once.")
    fetched_uv = attempt([python, "-m", "pip", "install", "--quiet", "uv"])[0] == 0
    if fetched_uv:
        steps = [
            [python, "-m", "uv", "pip", "install", "--python", python, "--require-hashes", "-r", LOCK],
            [python, "-m", "uv", "pip", "install", "--python", python, "--no-deps", "-e", HERE],
        ]
    else:
        steps = []
    pip = [python, "-m", "pip", "install"]
    fallback = [[*pip, "--require-hashes", "-r", LOCK], [*pip, "--no-deps", "-e", HERE]]
    if steps and all(attempt(step)[0] == 0 for step in steps):
        return
    for step in fallback:
        status, output = attempt(step)
        if status:
            explain_failure(output)


def set_up():
    """Make the environment unless it is there already."""
    if is_installed():
        say("The environment in .venv is ready.")
        return
    check_disk()
    make_environment()
    install()
    with open(STAMP, "w") as file:
        file.write(fingerprint())
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
            found = subprocess.run([*command, "-c", show], capture_output=True, text=True).stdout.strip()
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
    check_disk(NEEDED_TORCHTEXT_GB)
    uv = [venv_program("python"), "-m", "uv"]
    uv_is_here = subprocess.run([*uv, "--version"], capture_output=True).returncode == 0
    found = python_for_torchtext(uv_is_here)
    shutil.rmtree(KERNEL, ignore_errors=True)
    say("Creating an environment in .kernels/torchtext with Python {}.".format(found))
    made = bool(found) and attempt([*uv, "venv", "--python", found, KERNEL] if uv_is_here else [found, "-m", "venv", KERNEL])
    if not made or made[0]:
        stop(
            "The torchtext kernel needs Python 3.11 or 3.12, and no working one was found beside this Python {}.{}.".format(
                *sys.version_info[:2]
            ),
            "install Python 3.12 (Debian, Ubuntu: sudo apt install python3.12-venv), then type: python3 start.py torchtext",
        )
    say("Installing torch 2.3.1, torchtext 0.18.0 and what they need, each checked against its hash.")
    say("About 3 GB is fetched on Linux, less elsewhere: 1 to 10 minutes, by the network, once.")
    pip = [*uv, "pip", "install", "--python", python] if uv_is_here else [python, "-m", "pip", "install"]
    lock = os.path.join(KERNEL_FILES, "requirements.lock")
    for step in (["--require-hashes", "-r", lock], ["--no-deps", "-e", HERE]):
        status, output = attempt([*pip, *step])
        if status:
            explain_failure(output, folder=".kernels", action="torchtext")
    tried = subprocess.run([python, "-c", "import torchtext"], capture_output=True, text=True)
    if tried.returncode:
        stop("torchtext was installed but does not load: " + tried.stderr.strip()[-300:], "report this text.")


def set_up_torchtext():
    """Make the environment of the torchtext kernel unless it is there, and register the kernel."""
    check_torchtext_machine(sys.platform, platform.machine())
    python = venv_program("python", KERNEL)
    stamp = os.path.join(KERNEL, "installed-from")
    if not is_made_from(stamp, torchtext_fingerprint(), python):
        make_torchtext_environment(python)
        with open(stamp, "w") as file:
            file.write(torchtext_fingerprint())
    register_torchtext(python)
    say("The kernel torchtext is ready: open notebooks/04_the_published_listing.ipynb in JupyterLab.")


def main(arguments):
    action = arguments[0] if arguments else "lab"
    if action in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if action not in ACTIONS:
        stop("There is no action {!r}.".format(action), "choose one of: " + ", ".join(ACTIONS))
    check_python(tuple(sys.version_info[:2]))
    try:
        set_up()
        if action == "torchtext":
            set_up_torchtext()
    except KeyboardInterrupt:
        stop("Stopped.", "run start.py again; it starts the set-up over.")
    if action in ("setup", "torchtext"):
        return 0
    try:
        return subprocess.call([venv_program("course"), action, *arguments[1:]], cwd=HERE)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
