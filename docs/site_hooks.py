"""MkDocs hooks of mkdocs.yml: links to files that are not on the site, and Mermaid's markup."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#)[^)\s]+)\)")
_MERMAID = re.compile(r'<pre class="mermaid"><code>(.*?)</code></pre>', re.DOTALL)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links to files outside the site to the repository, or keep their text alone."""
    folder = posixpath.dirname(page.file.src_uri)

    def rewritten(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link["target"].partition("#")[0]))
        is_page = path.endswith(".md") and not path.startswith("../")
        if is_page or files.get_file_from_path(path) is not None:
            return link[0]
        if config.repo_url is None:
            return link["text"]
        in_repository = posixpath.normpath(posixpath.join("docs", path))
        return f"[{link['text']}]({config.repo_url.rstrip('/')}/blob/main/{in_repository})"

    return _LINK.sub(rewritten, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Give diagrams the element that mermaid.js draws, if a theme has that script."""
    return _MERMAID.sub(r'<pre class="mermaid">\1</pre>', html)
