r"""The commands of LaTeX that are met in mathematics and begin with a letter of an escape of JSON: \b, \f, \n, \r, \t.

Sources: the LaTeX kernel (fontmath.ltx for symbols, ltoutenc and latex.ltx for text and sizes), amsmath.sty, and
amssymb.sty with amsfonts.sty. What other packages define is left out, but for `\bm` (bm) and `\textcolor` (color).
"""

_COMMANDS = """
backepsilon backprime backsim backsimeq backslash bar barwedge because begin beta beth between bf bfseries big
bigcap bigcirc bigcup bigg biggl biggm biggr bigl bigm bigodot bigoplus bigotimes bigr bigsqcup bigstar
bigtriangledown bigtriangleup biguplus bigvee bigwedge binom blacklozenge blacksquare blacktriangle
blacktriangledown blacktriangleleft blacktriangleright bm bmod boldmath boldsymbol bot bowtie boxdot boxed boxminus
boxplus boxtimes brace bracevert brack breve buildrel bullet bumpeq

fallingdotseq fbox flat footnotesize forall frac frak frown

nLeftarrow nLeftrightarrow nRightarrow nVDash nVdash nabla natural ncong ne nearrow neg negmedspace negthickspace
negthinspace neq newcommand newline nexists ngeq ngeqq ngeqslant ngtr ni nleftarrow nleftrightarrow nleq nleqq
nleqslant nless nmid nobreak nobreakspace noindent nolimits nonumber normalfont normalsize not notag notin nparallel
nprec npreceq nrightarrow nshortmid nshortparallel nsim nsubseteq nsubseteqq nsucc nsucceq nsupseteq nsupseteqq
ntriangleleft ntrianglelefteq ntriangleright ntrianglerighteq nu nvDash nvdash nwarrow

rVert raise raisebox rangle rbrace rbrack rceil ref relax restriction rfloor rgroup rhd rho right rightarrow
rightarrowtail rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow
rightthreetimes risingdotseq rlap rm rmfamily rmoustache root rtimes rule rvert

tag tan tanh tau tbinom text textasciicircum textasciitilde textbackslash textbar textbf textbullet textcolor
textdagger textdegree textdollar textellipsis textemdash textendash textgreater textit textless textmd textnormal
textquotedblleft textquotedblright textquoteleft textquoteright textregistered textrm textsc textsf textsl
textsterling textstyle textsubscript textsuperscript texttt textunderscore textup tfrac therefore theta thickapprox
thicksim thickspace thinspace tilde times tiny to top triangle triangledown triangleleft trianglelefteq triangleq
triangleright trianglerighteq tt ttfamily twoheadleftarrow twoheadrightarrow
"""
_RELATIONS = "ncong ne neq ngeq ngtr ni nleq nless nmid nparallel nprec nsim nsucc"
_OTHERS = "neg nexists nu tag tan tau tbinom text tfrac to top tt"

COMMANDS = frozenset(_COMMANDS.split())
RELATIONS = frozenset(_RELATIONS.split())
"""Of the readable ones those that stand between two operands, so that no sign of equality follows."""
READABLE = RELATIONS | frozenset(_OTHERS.split())
r"""Of \n and \t those whose rest can stand by itself behind a line break or a tab: a word, a name or an abbreviation.

`\neg` leaves "eg", `\nless` "less", `\tan` "an"; `\nabla` leaves "abla", which nobody writes.
"""
