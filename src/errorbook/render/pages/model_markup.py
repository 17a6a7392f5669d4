r"""Markdown, code and mathematics of models as HTML from a closed list of elements.

HTML in a text is text. Links and pictures are shown as they were written: nothing leads or loads from elsewhere.
Only `$$`, `\(` and `\[` are mathematics, since prices are written with single dollars. Everything passes one last
filter (nh3), whatever wrote it. Texts that Markdown would lose a part of, such as ten levels of quotes, are refused.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from errorbook.render.unseen import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict


def names_in(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


DEEPEST = 12
MOST_LINES = 2_000
MOST_CELLS = 5_000
MOST_TOKENS = 6_000
MOST_FORMULAS = 300
LONGEST_FORMULA = 2_000
LONGEST_CODE = 6_000
LANGUAGES = names_in(
    "bash c c++ cpp css go html javascript js json latex py python python3 rust sh sql toml ts typescript xml yaml"
)
"""Those whose lexers are known to be quick; code in any other is shown plainly."""

MATH = names_in(
    "math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mprescripts mroot mrow ms mspace msqrt mstyle msub"
    " msubsup msup mtable mtd mtext mtr munder munderover none"
)
TEXT = names_in("p br hr strong em code pre ul ol li blockquote table thead tbody tr th td div span")
ATTRIBUTES: dict[str, set[str]] = {
    "math": {"display", "xmlns"},
    "menclose": {"notation"},
    "mfrac": {"linethickness"},
    "mi": {"mathvariant"},
    "mo": {"stretchy", "fence", "form", "separator", "movablelimits", "accent", "mathvariant"},
    "mspace": {"width"},
    "mstyle": {"displaystyle", "scriptlevel", "mathvariant"},
    "mtable": {"columnalign", "rowlines", "columnlines"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "ol": {"start"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "p": {"class"},
    "span": {"class"},
    "code": {"class"},
    "pre": {"class"},
    "th": {"class"},
    "td": {"class"},
}
_WIDTH = re.compile(r"[0-3]?(\.\d{1,6})?em")
_VALUE = re.compile(r"[\w .%:/#-]{1,60}")
_CLASS = re.compile(r"(md|hl|scroll|formula)(-[\w-]+)?( formula)?|[a-z][a-z0-9]{0,2}")
_WORDS = re.compile(r"(\\(?:text|mbox|hbox|textbf|textit|textrm|texttt|textsf)\s*\{)([^{}]*)(?=\})")
_PROGRAM = re.compile(r"^(def \w+\(|class \w+[:(]|import \w|from [\w.]+ import |#include\b|function \w+\()", re.M)
"""A program without a fence around it: Markdown would take its indentation away."""
_CLOSERS = {"$$": "$$", r"\(": r"\)", r"\[": r"\]"}


def html_of(text: str) -> str | None:
    """The text as safe HTML, or None if Markdown would lose a part of it or make far more of it than it is."""
    if _is_endless(text) or ("```" not in text and _PROGRAM.search(text)):
        return None
    tokens = _markdown().parse(text)
    if len(tokens) > MOST_TOKENS or any(token.level >= DEEPEST - 1 for token in tokens):
        return None
    return clean(_markdown().renderer.render(tokens, _markdown().options, {}))


def _is_endless(text: str) -> bool:
    """Whether it may make a table of far more cells than it has words: rows are filled up to the widest."""
    lines = text.split("\n")
    return len(lines) > MOST_LINES or max(line.count("|") for line in lines) * len(lines) > MOST_CELLS


def clean(html: str) -> str:
    """HTML with nothing in it but the listed elements and attributes."""
    import nh3

    return nh3.clean(
        html,
        tags=set(MATH | TEXT),
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        link_rel=None,
        strip_comments=True,
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "mspace":
        return value if _WIDTH.fullmatch(value) else "0.3em"
    allowed = _CLASS if name == "class" else _VALUE
    return value if name == "xmlns" or allowed.fullmatch(value) else None


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": DEEPEST})
    made.enable("table")
    # Shown as they were written: links, pictures and their definitions; entities; headings by underlining, which
    # sums are written with; code by indentation.
    made.disable(["link", "image", "autolink", "html_inline", "html_block", "entity", "reference", "lheading", "code"])
    made.inline.ruler.at("emphasis", _emphasis)
    made.inline.ruler.before("escape", "mathematics", _inline_math)
    made.block.ruler.before("fence", "mathematics", _block_math, {"alt": ["paragraph"]})
    for name in ("fence", "code_inline", "heading_open", "heading_close", "table_open", "table_close", "th_open"):
        made.add_render_rule(name, globals()[f"_{name}"])
    made.add_render_rule("td_open", _th_open)
    made.add_render_rule("math_inline", _formula)
    made.add_render_rule("math_block", _formula)
    return made


def _emphasis(state: StateInline, silent: bool) -> bool:
    """As in Markdown, but never within a word: `3*4*5` is a product."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    from markdown_it.rules_inline.state_inline import Delimiter

    found = state.scanDelims(state.pos, False)
    for _ in range(found.length):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=found.length,
                token=len(state.tokens) - 1,
                end=-1,
                open=found.can_open,
                close=found.can_close,
            )
        )
    state.pos += found.length
    return True


def _inline_math(state: StateInline, silent: bool) -> bool:
    opener = state.src[state.pos : state.pos + 2]
    closer = _CLOSERS.get(opener)
    end = state.src.find(closer, state.pos + 2, state.posMax) if closer else -1
    if closer is None:
        return False
    source = state.src[state.pos + 2 : end] if end > 0 else ""
    if not source.strip():
        if not silent:
            state.pending += opener
        state.pos += 2
        return True
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.markup = source, opener
    state.pos = end + 2
    return True


def _block_math(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Lines from `$$` or `\[` to the line that ends with what closes it: no blank line, nothing behind it."""
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    closer = _CLOSERS.get(first[:2])
    if closer is None or first[:2] == r"\(":
        return False
    lines: list[str] = []
    for line in range(start, end):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]] if line > start else first[2:]
        if not text.strip() and lines and line > start:
            return False
        lines.append(text)
        place = text.find(closer)
        if place >= 0:
            break
    else:
        return False
    source = "\n".join(lines).rstrip().removesuffix(closer)
    if closer in source or not source.strip() or not lines[-1].rstrip().endswith(closer):
        return False
    if not silent:
        state.line = line + 1
        token = state.push("math_block", "", 0)
        token.content, token.markup, token.map = source, first[:2], [start, state.line]
    return True


# rendering --------------------------------------------------------------------------------------------------------


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


def _formula(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    display = token.markup != r"\("
    env["formulas"] = env.get("formulas", 0) + 1
    made = mathml(token.content.strip(), display) if env["formulas"] <= MOST_FORMULAS else ""
    if not made:
        return f"<code>{_escaped(token.markup + token.content + _CLOSERS[token.markup])}</code>"
    if not display:
        return made
    return _scrolling(made, "Formula") if token.block else f'<span class="formula">{made}</span>'


@lru_cache(maxsize=1024)
def mathml(source: str, display: bool) -> str:
    """LaTeX as clean MathML, or nothing if it cannot be read."""
    from latex2mathml.converter import convert

    if len(source) > LONGEST_FORMULA:
        return ""
    safe = _WORDS.sub(lambda found: found[1] + literal(found[2]), source)
    try:
        made = convert(safe, display="block" if display else "inline")
    except Exception:  # it raises a dozen kinds, of Python's own too, at hostile input: then the source is shown
        return ""
    return clean(made)


def _fence(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    language = tokens[at].info.split()[0].lower() if tokens[at].info.strip() else ""
    return f'<pre class="hl">{code(tokens[at].content, language)}</pre>'


def code(text: str, language: str) -> str:
    """A program's text as HTML, its words marked by kind if the language is known."""
    if language not in LANGUAGES or len(text) > LONGEST_CODE:
        return _escaped(text)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return highlight(text, lexer, HtmlFormatter(nowrap=True))


def _code_inline(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    return f"<code>{_escaped(tokens[at].content)}</code>"


def _heading_open(_self: RendererHTML, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType) -> str:
    """A heading of the text is none of the page's."""
    return '<p class="md-heading"><strong>'


def _heading_close(
    _self: RendererHTML, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType
) -> str:
    return "</strong></p>"


def _table_open(_self: RendererHTML, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType) -> str:
    return '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>'


def _table_close(_self: RendererHTML, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType) -> str:
    return "</table></div>"


def _th_open(_self: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    """Without the style attribute that aligns: the page's policy allows none."""
    numbers = "right" in str(tokens[at].attrGet("style") or "")
    return f'<{tokens[at].tag} class="md-right">' if numbers else f"<{tokens[at].tag}>"


def _scrolling(html: str, label: str) -> str:
    return f'<div class="scroll formula" tabindex="0" role="group" aria-label="{label}">{html}</div>'
