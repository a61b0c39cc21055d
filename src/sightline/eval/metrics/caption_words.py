"""Words of a caption as COCO's caption evaluation cuts them, without Java.

That evaluation (Chen et al. 2015, arXiv:1504.00325) runs the Penn Treebank tokenizer of Stanford
CoreNLP 3.4.1, makes words lower case and drops punctuation. These are its rules as its output shows
them, as far as captions need them: contractions and possessives (`does n't`, `man 's`), words with
hyphens, slashes and inner full stops, numbers, initials, abbreviations, quotes, and brackets
(`-lrb-`; they stay, for the evaluation knows their names in capitals only).

Differs: web addresses, markup and faces are cut roughly; `3 1/2` is two words; and a caption is cut
alone, as if another sentence began after it. There the first word of the next caption decides
whether a last single letter keeps its full stop.
"""

from __future__ import annotations

import html
import re

# The evaluation's own list, as far as it is met in lower case; longer runs (`!!`) stay.
_DROPPED = frozenset("'' ' `` ` . ? ! , : - -- ... ;".split())
_RENAMED = str.maketrans(
    {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
    | {"’": "'", "\u2018": "`", "“": "``", "”": "''", '"': "''", "…": "...", "–": "--", "—": "--"}
    | {"£": "#", "€": "$", "¢": "cents", "½": "1/2", "¼": "1/4", "¾": "3/4"}
)
# Words that keep a full stop; then those that keep it in capitals, and before a number.
_SHORT = (
    "adj adm adv al ala apr ariz assn assoc asst atty aug ave bldg blvd brig bros calif capt cf "
    "cie cmdr co col colo conn corp cos cpl ct dak dec dept det dr drs esq est etc ext feb fla fri "
    "ft ga gen gov govs hon inc ind intl jan jr jul jun kan ky lieut lt ltd maj mar md messrs mfg "
    "mich minn mlle mme mo mon mont mr mrs ms mt natl neb nev nov oct okla penn pfc ph ph.d plc "
    "pres prof profs pty pvt rd rep reps rev rt sen sens sep sept sgt sq sr st ste supt sys tel "
    "tenn thu thurs treas tue tues univ va vs vt wed wis wm wyo"
).split()
_SHORT_NAMES = "Ark Del Ill La Mass Miss Ore Pa Tex Wash".split()
_SHORT_BEFORE_NUMBERS = "art ca fig figs no nos pp prop".split()
# After a single letter with a full stop, these begin a sentence, and the full stop ends the last.
_BEGINNINGS = (
    "A An As At But He Her Here If In It Many One She So Some That The Then There These They This "
    "We What When While You"
).split()

_L, _X = r"[^\W\d_]", r"[^\W_]"  # a letter; a letter or a digit
_END = rf"(?!{_X})"
_SUFFIX = rf"['’](?:[msdMSD]|re|ve|ll|RE|VE|LL){_END}"
_TOKEN = re.compile(
    rf"""
    </?[A-Za-z!?][^>\n]*>                                     # markup
  | https?://[^\s"<>|(){{}}\[\]]*[^\s"<>|(){{}}\[\].,;:!?'-]
  | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
  | [@\#][A-Za-z_]\w*
  | [:;=]-?[()]                                               # a smile
  | [!?]+ | \.\.\. | -{{5,}} | -{{2,4}}
  | \d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}{_END}                 # a date
  | [-+]?\d+(?:[.:,]\d+)+(?:-{_X}+)* | [-+]?(?:[.:,]\d+)+     # 1,000   10:30   3.5-inch
  | [-+]?\d+{_END}(?![-_/]{_X})
  | {_X}+(?:-{_L}+){{0,2}}(?:/{_X}+(?:-{_L}+){{0,2}}){{1,2}}  # his/her   1/2
  | [A-Z]+(?:[&+][A-Z]+)+                                     # R&B
  | {_L}(?:\.{_L})+\.(?!{_L})                                 # U.S.   a.m.
  | {_L}\.(?!{_L}|\s*$|\s+(?:{"|".join(_BEGINNINGS)})\b)      # J. Smith
  | (?:{"|".join(_SHORT_NAMES)}|(?i:{"|".join(_SHORT)}))\.{_END}
  | (?i:{"|".join(_SHORT_BEFORE_NUMBERS)})\.(?=\s*\d)
  | (?i:can(?=not{_END})|(?:gon|wan)(?=na{_END})|got(?=ta{_END})|(?:gim|lem)(?=me{_END}))
  | {_X}+(?=[nN]['’][tT]{_END}) | [nN]['’][tT]{_END}          # does n't
  | ['’][tT](?=(?:is|was){_END})                              # 't is
  | {_X}+(?={_SUFFIX}) | {_SUFFIX}                            # man 's
  | ['’][nN]['’] | ['’](?:n|em|till?|cause|[2-9]0s){_END}     # 'n'   '80s
  | (?:ol|somethin|[dD]unkin)['’]{_END} | [yY]['’](?={_L})
  | [dlnoA-HJ-XZ]['’]{_L}{{2,}} | [dDlLjJ]['’]                # o'clock
  | {_L}*[aeiouyAEIOUY]['’][aeiouA-Z]{_L}*                    # Shi'ite
  | {_L}{_X}*(?:[.!?]{_L}{_X}*)+                              # example.com
  | {_X}+(?:[-_]{_X}+)*                                       # black-and-white
  | _+ | \S
    """,
    re.VERBOSE,
)


def caption_words(text: str) -> str:
    """The words in lower case, one space between them."""
    tokens = _TOKEN.findall(html.unescape(text))
    words = (("--" if set(token) == {"-"} and len(token) < 5 else token) for token in tokens)
    named = [word.translate(_RENAMED).lower() for word in words]
    return " ".join(word for word in named if word not in _DROPPED)
