"""API documentation page at /docs: it loads files of the edge only, and contains no inline script."""

import re

from tests.integration.edge.conftest import Edge


async def test_docs_load_only_files_of_the_edge(edge: Edge) -> None:
    async with edge.session.get("/docs") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(named) == 4
    assert "//" not in page
    assert "http" not in policy
    for path in [*named, "openapi.json"]:
        async with edge.session.get(f"/{path}") as answer:
            assert answer.status == 200
            assert len(await answer.read()) > 50


async def test_docs_have_no_script_in_the_page(edge: Edge) -> None:
    async with edge.session.get("/docs") as answer:
        page = await answer.text()
        assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert not re.findall(r"<script[^>]*>[^<]", page)
    assert not re.findall(r"<style|\son\w+=", page)


async def test_the_start_of_the_docs_reads_our_document(edge: Edge) -> None:
    async with edge.session.get("/docs/start.js") as answer:
        assert answer.content_type == "text/javascript"
        assert 'url: "openapi.json"' in await answer.text()
