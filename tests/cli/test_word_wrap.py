import textwrap

from hypothesis import given
from hypothesis import strategies as st

from outgrow.cli.word_wrap import WordWrap


def wrapped(bits, width):
    said = []
    wrap = WordWrap(said.append, width=width)
    for bit in bits:
        wrap.write(bit)
    wrap.flush()
    return "".join(said)


def test_lines_end_between_words_however_the_text_comes():
    assert wrapped(["one tw", "o th", "ree four"], 8) == "one two\nthree\nfour"


def test_line_ends_of_the_text_stay():
    assert wrapped(["a\n\nb ", "c"], 8) == "a\n\nb c"


def test_a_word_is_held_back_until_it_is_whole():
    said = []
    wrap = WordWrap(said.append, width=8)
    wrap.write("one tw")
    assert said == ["one"]
    wrap.write("o ")
    assert said == ["one", " two"]


@given(st.lists(st.text("abc", min_size=1, max_size=12)), st.integers(3, 20), st.integers(1, 5))
def test_it_wraps_as_textwrap_does(words, width, step):
    text = " ".join(words)
    bits = [text[at : at + step] for at in range(0, len(text), step)]
    expected = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    assert wrapped(bits, width) == "\n".join(expected)
