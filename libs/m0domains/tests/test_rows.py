"""Whatever is wrong with a row of a data file names the file, the row and the value."""

import gzip

import pytest
from m0common.errors import InvalidValue
from m0domains.rows import parse, read_rows

COLUMNS = ("date", "team", "goals")
HEAD = b"date,team,goals\n"


def first(line):
    return parse("f.csv", HEAD + line, COLUMNS)[0]


def test_a_good_row_is_read_with_any_line_ends_and_empty_rows_passed_over():
    for ends in (b"\n", b"\r\n"):
        rows = parse("f.csv", HEAD.replace(b"\n", ends) + "2015-08-22,Köln,2".encode() + ends + b",,," + ends, COLUMNS)
        assert [(row.date("date").isoformat(), row.text("team"), row.integer("goals")) for row in rows] == [
            ("2015-08-22", "Köln", 2)
        ]


@pytest.mark.parametrize("goals", ["NA", "2.0", "", "-1", " 2", "²", "1" * 5000])
def test_what_is_no_whole_number_is_refused(goals):
    with pytest.raises(InvalidValue, match=r"f\.csv, row 2: goals .* whole number"):
        first(f"2015-08-22,A,{goals}".encode()).integer("goals")


@pytest.mark.parametrize("date", ["22/08/2015", "22-08-2015", "20150822", "2015-W34-6", "2015-02-30", ""])
def test_what_is_no_date_of_the_one_form_is_refused(date):
    with pytest.raises(InvalidValue, match=rf"f\.csv, row 2: date '{date}' must be a date"):
        first(f"{date},A,1".encode()).date("date")


@pytest.mark.parametrize("team", ["", " A", "A\u00a0"])
def test_an_empty_text_or_one_with_blanks_around_is_refused(team):
    with pytest.raises(InvalidValue, match=r"row 2: team"):
        first(f"2015-08-22,{team},1".encode()).text("team")


def test_latin_1_names_the_row_and_its_bytes():
    with pytest.raises(InvalidValue, match=r"f\.csv, row 3: .*K\\xf6ln.* save the file as UTF-8"):
        parse("f.csv", HEAD + b"2015-08-22,A,1\n2015-08-22,K\xf6ln,1\n", COLUMNS)


def test_a_byte_order_mark_other_columns_and_short_rows_are_refused():
    with pytest.raises(InvalidValue, match="byte order mark"):
        parse("f.csv", b"\xef\xbb\xbf" + HEAD, COLUMNS)
    with pytest.raises(InvalidValue, match="columns"):
        parse("f.csv", b"date;team;goals\n", COLUMNS)
    with pytest.raises(InvalidValue, match="row 2"):
        first(b"2015-08-22,A")
    with pytest.raises(InvalidValue, match="row 2"):
        first(b'2015-08-22,"A"x,1')
    with pytest.raises(InvalidValue, match="columns"):
        parse("f.csv", b"", COLUMNS)


def test_a_packed_file_is_read_too(tmp_path):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(HEAD + b"2015-08-22,A,1\n"))
    assert read_rows(path, COLUMNS)[0].number == 2
