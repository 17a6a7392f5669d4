"""From a record's type to the schema that is asked for, and from a reply's text to a record of that type.

Strict JSON is read at once; anything else goes through `tolerant`. What cannot be read is an InvalidReply, whose
sentence the model gets to see. Beyond types and their constraints nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from errorbook.checks.thoughts import find_closings, tell_apart
from errorbook.files import mend_text
from errorbook.llm.endpoint import Reply
from errorbook.llm.records import InvalidReply
from errorbook.llm.tolerant import find_around, find_values

T = TypeVar("T")

_DROPPED = {"title", "default"}


def schema_of(kind: type[Any]) -> str:
    """The JSON schema of a type as canonical text: self-contained, every field required, no others allowed.

    That is the form which strict servers ask for. Fields keep the order of their declaration, since models write them
    in it: what is to be thought first is to be declared first. A type that contains itself keeps its references.
    """
    whole = msgspec.json.schema(kind)
    definitions = whole.pop("$defs", {})
    plain = _inline(whole, definitions, ())
    if "$ref" in str(plain):
        plain = {**plain, "$defs": {name: _inline(body, {}, ()) for name, body in definitions.items()}}
    return msgspec.json.encode(plain).decode()


def _inline(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("$ref", "")).rpartition("/")[2]
    if name and name in definitions and name not in inside:
        return _inline(definitions[name], definitions, (*inside, name))
    if isinstance(node.get("properties"), dict):
        fields = {key: _inline(value, definitions, inside) for key, value in node["properties"].items()}
        rest = {key: value for key, value in node.items() if key not in _DROPPED and key != "properties"}
        return {**rest, "properties": fields, "required": list(fields), "additionalProperties": False}
    return {key: _inline(value, definitions, inside) for key, value in node.items() if key not in _DROPPED}


def make_reader(kind: type[T]) -> Callable[[str], T]:
    """A function from a text to a `kind`; it raises InvalidReply with a sentence that says where the text is wrong.

    Half a character, of which no record can be made, becomes U+FFFD.
    """
    decoder = msgspec.json.Decoder(kind)

    def read(text: str) -> T:
        try:
            return decoder.decode(text)
        except UnicodeEncodeError:
            return read(mend_text(text))
        except (msgspec.DecodeError, RecursionError):
            return _search(text, kind)

    return read


def take_answer(reply: Reply) -> Reply:
    """The reply without a thought before it; one that a server took for a thought as a whole is the reply.

    Raises:
        InvalidReply: It was cut off. A draft in a thought, or before the reply, is not what is meant then.
    """
    text = reply.text
    if not text.lstrip().startswith(("{", "[{")):
        text = tell_apart(_spell_marks(text)).answer
    if not text.strip() and not reply.truncated and reply.thought.rstrip("` \n").endswith(("}", "]")):
        text = reply.thought
    if reply.truncated and text.strip() and not text.rstrip("` \n").endswith(("}", "]")):
        raise InvalidReply("The reply holds no complete JSON object; write one that follows the schema.")
    return reply._replace(text=text)


def _spell_marks(text: str) -> str:
    """The text with its marks of a thought spelt out where they stand in a value: there they are talked about."""
    before = len(text)
    for start, _ in reversed(find_closings(text)):
        if start >= before or text[start - 1 : start] == "\\":
            continue
        around = find_around(text, start)
        if around is None:
            break
        before = around[0]
        inside = [place + before for place, _ in find_closings(text[before : around[1]])]
        for place in reversed(inside):
            text = f"{text[:place]}\\u{ord(text[place]):04x}{text[place + 1 :]}"
    return text


def check_form(kind: type[T]) -> Callable[[object, Reply], T]:
    """A check for `Engine.ask` if every key's reply must be a `kind`, and nothing more."""
    read = make_reader(kind)
    return lambda _, reply: read(reply.text)


def _search(text: str, kind: type[T]) -> T:
    """The last value in the text that is a `kind`: what is thought aloud comes before what is meant."""
    fault, found = "", []
    for value in find_values(text):
        try:
            found.append(msgspec.convert(value, kind))
        except msgspec.ValidationError as error:
            fault = str(error)
    if found:
        return found[-1]
    if fault:
        raise InvalidReply(f"The JSON does not follow the schema: {fault}.")
    if not text.strip():
        raise InvalidReply("The reply is empty; one JSON object is needed.")
    raise InvalidReply("The reply holds no complete JSON object; write one that follows the schema, and nothing else.")


def write_instruction(schema: str) -> str:
    """What is added to the prompt if a server does not hold replies to a schema by itself."""
    return f"\n\nReply with one JSON object and nothing else. It must follow this JSON schema:\n{schema}"


def write_correction(fault: str) -> str:
    """What the model is told about an invalid reply."""
    return f"That reply cannot be used. {fault} Write the whole reply again, corrected, in the form that was asked for."
