"""The canary: it names the package that breaks a notebook, and only that one; and links that lead nowhere are found."""

import pytest
from packaging.version import Version

from tools import canary, links

KNOWN = {"torch": "2.15.0", "numpy": "2.4.0", "transformers": "5.24.0", "pandas": "2.3.0"}
HERE = {"torch": "2.11.0", "numpy": "2.1.3", "transformers": "5.15.0", "pandas": "2.3.0", "jedi": "0.1"}


class World:
    """Stands in for an environment: a notebook fails while a package is older than some version."""

    def __init__(self, **needs: str) -> None:
        self.versions, self.needs, self.asked = dict(HERE), needs, []

    def install(self, requirement: str) -> None:
        name, version = requirement.split("==")
        self.versions[name] = version
        self.asked.append(requirement)

    def run(self, notebook: str) -> str:
        old = [name for name, version in self.needs.items() if Version(self.versions[name]) < Version(version)]
        return f"ImportError in {' '.join(old)}" if old else ""


@pytest.mark.parametrize("name", ["torch", "numpy", "transformers"])
def test_the_one_package_that_breaks_a_notebook_is_named(name):
    world = World(**{name: KNOWN[name]})
    found = canary.culprit("06", "something is wrong", HERE, KNOWN, world.install, world.run)
    assert (found.package, found.fails, found.runs) == (name, HERE[name], KNOWN[name])
    assert f"06 fails with {name} {HERE[name]} and runs with {KNOWN[name]}" in str(found)
    assert world.versions == HERE, "what was tried is taken back"


def test_a_package_that_the_error_names_is_tried_first():
    world = World(transformers="5.24.0")
    canary.culprit("06", "AttributeError: module 'transformers' has no ...", HERE, KNOWN, world.install, world.run)
    assert world.asked[0] == "transformers==5.24.0" and len(world.asked) == 2


def test_where_no_single_package_is_to_blame_it_says_so():
    world = World(torch="2.15.0", numpy="2.4.0")
    found = canary.culprit("06", "both", HERE, KNOWN, world.install, world.run)
    assert found.package == "" and "putting back a single package does not help. both" in str(found)


def test_only_packages_of_the_course_at_another_version_are_suspected():
    assert set(canary.suspects("", HERE, KNOWN)) == {"torch", "numpy", "transformers"}
    assert canary.locked('a_b==1.0 ; python_version < "3.12" \\\n    --hash=x\na-b==2.0 \\\n') == {"a-b": "2.0"}


# --- links


@pytest.fixture
def course(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# One *thing*, and `code`!\n\n## Again\n\n## Again\n\n```\n# no heading\n```\n")
    return tmp_path


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("docs/a.md", ""),
        ("docs/a.md#one-thing-and-code", ""),
        ("docs/a.md#again-1", ""),
        ("docs/a.md#again-2", "no such heading"),
        ("docs/a.md#no-heading", "no such heading"),
        ("docs/b.md", "not there"),
        ("#here", ""),
        ("#there", "no such heading"),
        ("https://a.b/c#d", ""),
        ("mailto:a@b.c", ""),
    ],
)
def test_a_link_without_its_file_or_heading_is_found(course, link, wrong):
    (course / "README.md").write_text(f"# Here\n\n[words]({link})\n\n```\n[x](not/a/link)\n```\n")
    links.prose.cache_clear()
    links.anchors.cache_clear()
    found = list(links.broken(course))
    assert len(found) == bool(wrong) and all(wrong in sentence and link in sentence for sentence in found)


def test_every_link_of_the_course_leads_somewhere():
    links.prose.cache_clear()
    links.anchors.cache_clear()
    assert list(links.broken()) == [] and len(links.pages()) > 40


def test_outside_addresses_are_asked_and_a_refusal_of_programs_is_no_fault(course, monkeypatch, capsys):
    (course / "README.md").write_text("[a](https://a.b/c#d) [b](https://gone.b) [c](http://no.b)")
    links.prose.cache_clear()
    assert links.outside(course) == dict.fromkeys(("https://a.b/c", "https://gone.b", "http://no.b"), "README.md")

    def urlopen(request, timeout):
        status = {"https://a.b/c": 403, "https://gone.b": 404}.get(request.full_url)
        if status:
            raise links.urllib.error.HTTPError(request.full_url, status, "", {}, None)
        raise OSError("no network")

    monkeypatch.setattr(links.urllib.request, "urlopen", urlopen)
    assert [links.answer(address) for address in links.outside(course)] == ["", "HTTP 404", "no network"]
