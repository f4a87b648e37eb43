"""Small packages in wheels, and the lines of a lock that pin them."""

import base64
import hashlib
import re
import zipfile
from importlib import metadata
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str = "1.0", source: str = "", *, program: str = "", requires: tuple[str, ...] = ()
) -> Path:
    """Write the wheel of a package of one module; `program` names a command that calls the module's `main`."""
    needs = "".join(f"Requires-Dist: {other}\n" for other in requires)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if program:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{program} = {name}:main\n"
    return write_wheel(folder / f"{name}-{version}-py3-none-any.whl", {key: text.encode() for key, text in files.items()})


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    """Zip the files of a package with a fresh RECORD."""
    record = next(name for name in files if name.endswith("/METADATA")).replace("METADATA", "RECORD")
    sums = {name: base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=") for name, content in files.items()}
    lines = [f"{name},sha256={sums[name].decode()},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {record: "\n".join([*lines, f"{record},,"]).encode()}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            archive.writestr(entry, content)
    return path


def wheel_of_installed(folder: Path, name: str) -> Path:
    """Write the wheel of a package as it is installed here, with its programs that are binaries."""
    found = metadata.distribution(name)
    inside = [file for file in found.files if "__pycache__" not in file.parts]
    files = {
        str(file): file.locate().read_bytes()
        for file in inside
        if ".." not in file.parts and not re.search(r"RECORD|INSTALLER|REQUESTED", file.name)
    }
    for file in inside:
        if "bin" in file.parts and ".." in file.parts:
            files[f"{name}-{found.version}.data/scripts/{file.name}"] = file.locate().read_bytes()
    return write_wheel(folder / f"{name}-{found.version}-py3-none-any.whl", files)


def pin(path: Path) -> str:
    """Return the line of a lock for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
