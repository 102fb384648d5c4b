"""The hooks of mkdocs.yml. `make site` builds the site itself, and fails on a broken link."""

from types import SimpleNamespace

import pytest

from docs import site_hooks


def rewritten(markdown: str, *, page: str = "deploy.md", repository: str | None) -> str:
    pages = {"deploy.md", "cost.md", "decisions/README.md", "policies/operate.json"}
    return site_hooks.on_page_markdown(
        markdown,
        page=SimpleNamespace(file=SimpleNamespace(src_uri=page)),
        config=SimpleNamespace(repo_url=repository),
        files=SimpleNamespace(get_file_from_path=lambda path: path if path in pages else None),
    )


@pytest.mark.parametrize(
    ("page", "link", "path"),
    [
        ("deploy.md", "[a](../terraform/README.md#inputs)", "terraform/README.md"),
        ("deploy.md", "[a](policies)", "docs/policies"),
        ("decisions/README.md", "[a](../../shared/gate.py)", "shared/gate.py"),
    ],
)
def test_links_to_other_files_lead_to_the_repository(page: str, link: str, path: str) -> None:
    repository = "https://example.com/repository/"
    expected = f"[a](https://example.com/repository/blob/main/{path})"
    assert rewritten(link, page=page, repository=repository) == expected
    assert rewritten(link, page=page, repository=None) == "a"


def test_diagrams_have_the_element_that_mermaid_expects() -> None:
    html = '<p>x</p><pre class="mermaid"><code>flowchart LR\n  a --&gt; b</code></pre>'
    expected = '<p>x</p><pre class="mermaid">flowchart LR\n  a --&gt; b</pre>'
    assert site_hooks.on_page_content(html) == expected
