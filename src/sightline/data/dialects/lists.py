"""Media beside a conversation whose texts hold placeholders: LLaMA-Factory's and swift's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import Fields, text_of
from sightline.data.dialects.media import Dealer, read_all
from sightline.data.dialects.turns import Said, media_first
from sightline.data.sample import Media, MediaKind, Part

Lists = Mapping[MediaKind, Sequence[Media]]
_MARKS: dict[str, MediaKind] = {"<image>": "image", "<video>": "video"}


def read_lists(fields: Fields, images: str = "images", videos: str = "videos") -> Lists:
    """The row's pictures and clips. Raises DataError for what cannot be one."""
    context = fields.context
    return {
        "image": read_all("image", fields.several(images), fields.name(images), context),
        "video": read_all("video", fields.several(videos), fields.name(videos), context),
    }


def dealer_of(lists: Lists, context: Context) -> Dealer:
    """Lists ready for `<image>` and `<video>`."""
    return Dealer(context, lists, _MARKS)


def placed(value: object, place: str, dealer: Dealer, context: Context) -> list[Part]:
    """A text with media in place of its placeholders, kept to the letter otherwise."""
    text = text_of(value, place, context)
    if "<audio>" in text:
        problem = "has <audio>, which stands for sound, and Sightline does not read it"
        raise context.wrong(place, problem, "leave the row out")
    return dealer.parts(text)


def all_placed(dealer: Dealer, turns: list[Said], context: Context) -> list[Said]:
    """Turns with all media in their places. Raises DataError where the counts differ."""
    if context.media_first and dealer.none_dealt:
        return media_first(dealer.undealt, turns)
    dealer.check()
    return turns
