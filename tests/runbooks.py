"""Reader of the runbooks: their sections, code blocks, checks and links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "observability" / "runbooks"
HEADINGS = ["Meaning", "Impact", "Look", "Diagnose", "Mitigate", "Escalate"]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
# Text that is no statement of the section's own: code, links, and names of alerts.
NOT_OWN = re.compile(r"```.*?```|\[[^\]]*\]\([^)]*\)|`[^`]*`|\bShop[A-Z]\w+", re.DOTALL)
LEAST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a section.

    language: promql, sql, sh or another that the fence names.
    text: what is pasted.
    after: the prose up to the next block or the section's end.
    """

    language: str
    text: str
    after: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook: the alert that it is for, its text, and its sections by heading in their order."""

    alert: str
    text: str
    sections: dict[str, str]

    def blocks(self, heading: str) -> list[Block]:
        """Return the fenced blocks of a section."""
        text = self.sections[heading]
        found = list(BLOCK.finditer(text))
        ends = [*(block.start() for block in found), len(text)][1:]
        return [Block(b[2], _dedented(b[3], b[1]), text[b.end() : end]) for b, end in zip(found, ends, strict=False)]

    def pasted(self, language: str) -> list[str]:
        """Return the text of every block in a language, in the order of the file."""
        return [b.text for heading in self.sections for b in self.blocks(heading) if b.language == language]

    def headings(self) -> list[str]:
        """Return every heading as it is written, without what stands in code."""
        return re.findall(r"^#+ .*", BLOCK.sub("", self.text), re.MULTILINE)

    def code(self) -> str:
        """Return what stands in code, fenced or inline, a line each."""
        fenced = [block[3] for block in BLOCK.finditer(self.text)]
        return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", BLOCK.sub("", self.text))])

    def references(self) -> list[str]:
        """Return the headings of sections that have hardly a word of their own: they are empty or mere references."""
        own = {heading: NOT_OWN.sub("", text) for heading, text in self.sections.items()}
        return [heading for heading, text in own.items() if len(re.findall(r"[A-Za-z]{2,}", text)) < LEAST_WORDS]

    def links(self) -> list[tuple[str, str]]:
        """Return the text and the target of every link."""
        return LINK.findall(self.text)


def runbooks(folder: Path = FOLDER) -> list[Runbook]:
    """Return all runbooks, by their alerts' names."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    return [Runbook(alert, text, dict(SECTION.findall(text))) for alert, text in texts.items()]


def _dedented(text: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in text.splitlines()).strip()
