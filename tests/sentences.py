"""Sentences of the page and the numbers in them."""

import re
from collections.abc import Iterable

MOST_NUMBERS = 3
# Not the digits of a name, such as those of resnet18, train/1.jpg and tiny_cnn@96.
NUMBER = re.compile(r"(?<![\w./@-])[0-9][0-9.,]*(?![\w./]*[A-Za-z_])")


def split_sentences(text: str) -> list[str]:
    """Split a text after full stops that end a sentence."""
    return re.split(r"(?<=[.])\s+(?=[A-Z0-9])", text.strip())


def count_numbers(sentence: str) -> int:
    """Return how many numbers a sentence has; the name of an interval is none."""
    return len(NUMBER.findall(re.sub(r"[\d.]+ % (?=interval|confidence)", "", sentence)))


def overloaded(texts: Iterable[str]) -> list[str]:
    """Return the sentences with more numbers than a reader takes in at once."""
    sentences = [sentence for text in texts for sentence in split_sentences(text)]
    return [sentence for sentence in sentences if count_numbers(sentence) > MOST_NUMBERS]
