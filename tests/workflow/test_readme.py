"""What the README tells a newcomer to type is there."""

import re

from workflow_tools import ROOT, clone, planned

README = (ROOT / "README.md").read_text()


def test_every_result_the_readme_names_can_be_asked_for(tmp_path):
    targets = re.findall(r"`snakemake (results/[^`\s]+|[a-z]+)`", README)
    assert len(targets) >= 7
    assert planned(clone(tmp_path / "regdna"), *targets, study=None)


def test_every_page_the_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
