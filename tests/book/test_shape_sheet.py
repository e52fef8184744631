"""The printed sheet and its key: what the key's sentences say is what `shape_flow` says."""

from book._ext import shape_sheet
from nin_lib import network, shape_flow, totals
from nin_lib.unread import never_read

CHAPTER = network("chapter")


def shapes(size):
    return [row.shape for row in shape_flow(CHAPTER, size)]


def test_the_key_holds_every_stage():
    rows = shape_sheet.sheet(CHAPTER, filled=True)
    assert [row[5] for row in rows][:9] == [
        f"{n} × {n}" for n in (224, 54, 26, 26, 12, 12, 5, 5, 5)
    ]
    parameters = sum(int(row[6].replace(",", "")) for row in rows[1:])
    assert parameters == totals(CHAPTER).parameters


def test_the_sheet_gives_no_answer_away():
    rows = shape_sheet.sheet(CHAPTER, filled=False)
    assert all(row[5:] == ["", ""] for row in rows[1:])
    assert [row[:5] for row in rows] == [row[:5] for row in shape_sheet.sheet(CHAPTER, filled=True)]


def test_the_sentences_of_the_key():
    assert shapes(226) == shapes(224)
    assert shapes(195)[-2][1:] == shapes(226)[-2][1:] == (5, 5)
    assert shapes(194)[-2] != shapes(195)[-2] and shapes(226)[-2] != shapes(227)[-2]
    layers = [row.stage for row in shape_flow(CHAPTER)]
    third = layers.index("pool 3")
    rows, _ = never_read(CHAPTER, None, third, third)
    assert rows == [11]
    small = totals(network("nin-dense-10")).parameters - totals(CHAPTER).parameters
    assert small == 2_500 + 10


def test_the_table_names_its_rows_and_columns():
    html = shape_sheet.table(shape_sheet.sheet(CHAPTER, filled=True))
    assert html.count('scope="col"') == 7
    assert html.count('scope="row"') == 10
