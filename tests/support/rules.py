"""Constraints that a user may add to a table, of every kind in each warehouse. Each rejects the canary person.

In the statements {t} is the table, {c} a column, {s} the dataset. `IS_CANARY` is true only for that person.
"""

from __future__ import annotations

from dataclasses import dataclass

IS_CANARY = "{c} like '%anary%'"
FAILS = f"case when {IS_CANARY} then cast({{c}} as integer) else 0 end"
ALTER = "alter table {t} "


@dataclass(frozen=True)
class Rule:
    """`made`, `undone`: statements that add and remove the rule. `column`, `table`: what to add to the definition of a
    new table instead. `named`: what the error message contains. `absent`: the person has no value in the column.
    """

    made: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    named: str = ""
    column: str = ""
    table: str = ""
    absent: bool = False


def _constraint(rule: str, named: str, *undone: str) -> Rule:
    drop = ALTER + "drop constraint rule"
    return Rule((f"{ALTER}add constraint rule {rule}",), (drop, *undone), named)


NULLABLE, TEXT = ALTER + "alter {c} drop not null", ALTER + "alter {c} type varchar"
_ALLOWED = (
    "create table {s}.allowed (v varchar(99) primary key)",
    "insert into {s}.allowed select distinct {c} from {t}",
)
POSTGRES = {
    "not null": Rule((ALTER + "alter {c} set not null",), (NULLABLE,), "not-null constraint", absent=True),
    "check": _constraint(f"check (not {IS_CANARY})", 'check constraint "rule"'),
    "unique": _constraint("unique ({c})", 'unique constraint "rule"'),
    "primary key": _constraint("primary key ({c})", 'unique constraint "rule"', NULLABLE),
    "exclusion": _constraint("exclude ({c} with =)", "(SQLSTATE 23P01)"),
    "foreign key": Rule(
        (*_ALLOWED, ALTER + "add constraint rule foreign key ({c}) references {s}.allowed"),
        (ALTER + "drop constraint rule", "drop table {s}.allowed"),
        'foreign key constraint "rule"',
    ),
    "unique index": Rule(
        ("create unique index rule on {t} (lower({c}))",), ("drop index {s}.rule",), 'unique constraint "rule"'
    ),
    "index of an expression": Rule(
        (f"create index rule on {{t}} (({FAILS}))",), ("drop index {s}.rule",), "invalid input syntax for type integer"
    ),
    "generated column": Rule(
        (ALTER + f"add column made integer generated always as ({FAILS}) stored",),
        (ALTER + "drop column made",),
        "generated column",
    ),
    "length": Rule((ALTER + "alter {c} type varchar(4)",), (TEXT,), "character varying(4)"),
    "type": Rule((ALTER + "alter {c} type integer using 1",), (TEXT,), 'column "{c}" is of type integer'),
    "domain": Rule(
        (
            f"create domain {{s}}.short as varchar check (not {IS_CANARY.format(c='value')})",
            ALTER + "alter {c} type {s}.short",
        ),
        (TEXT, "drop domain {s}.short"),
        'check constraint "short_check"',
    ),
    "enumeration": Rule(
        ("create type {s}.kind as enum ('p')", ALTER + "alter {c} type {s}.kind using 'p'"),
        (TEXT, "drop type {s}.kind"),
        'column "{c}" is of type boast_data.kind',
    ),
    "trigger": Rule(
        (
            (
                "create function {s}.refuse() returns trigger language plpgsql as"  # worded like the server's own error
                " $$ begin raise exception 'column \"%\" does not exist', split_part(new.{c}, ' ', 1) using"
                " errcode = '42P01', detail = new.{c}, table = new.{c}, column = new.{c}, constraint = new.{c}; end $$"
            ),
            "create trigger rule before insert or update on {t} for each row execute function {s}.refuse()",
        ),
        ("drop trigger rule on {t}", "drop function {s}.refuse()"),
        "(SQLSTATE 42P01)",
    ),
}
_MADE_ANEW = {
    "not null": Rule(column=" not null", named="NOT NULL constraint failed", absent=True),
    "check": Rule(column=f" check (not {IS_CANARY})", named="CHECK constraint failed"),
    "unique": Rule(column=" unique"),
    "primary key": Rule(table=", primary key ({c})"),
    "foreign key": Rule(_ALLOWED, ("drop table {s}.allowed",), column=" references {s}.allowed (v)"),
}
DUCKDB = _MADE_ANEW | {
    "check that fails": Rule(column=f" check ({FAILS} = 0)"),
    "error in a check": Rule(column=f" check (case when {IS_CANARY} then error('no ' || {{c}}) else true end)"),
    "unique index": Rule(("create unique index rule on {t} ({c})",), ("drop index {s}.rule",)),
    "unique index of an expression": Rule(("create unique index rule on {t} (lower({c}))",), ("drop index {s}.rule",)),
    "index of an expression": Rule((f"create index rule on {{t}} (({FAILS}))",), ("drop index {s}.rule",)),
    "type": Rule(column="integer", named="INT32"),
    "enumeration": Rule(column="enum ('p')"),
}
SQLITE = {
    "not null": _MADE_ANEW["not null"],
    "check": _MADE_ANEW["check"],
    "check that fails": Rule(
        column=f" check (case when {IS_CANARY} then json({{c}}) else 1 end)", named="malformed JSON"
    ),
    "unique": Rule(column=" unique", named="UNIQUE constraint failed: contacts.{c}"),
    "primary key": Rule(table=", primary key ({c})", named="UNIQUE constraint failed: contacts.{c}"),
    "unique index": Rule(("create unique index {s}.rule on contacts (lower({c}))",), ("drop index {s}.rule",)),
    "trigger": Rule(
        ("create trigger {s}.rule before insert on contacts begin select json(new.{c}); end",),
        ("drop trigger {s}.rule",),
        "malformed JSON",
    ),
}
_WIDE = ALTER + "modify {c} text"
_EMPTY = "update {t} set {c} = null"
_SHORT = (ALTER + "modify {c} varchar(99)",)
MARIADB = {
    "not null": Rule((ALTER + "modify {c} varchar(99) not null",), (_WIDE,), "cannot be null", absent=True),
    "check": _constraint(f"check (not {IS_CANARY})", "CONSTRAINT `rule` failed"),
    "unique": Rule((*_SHORT, ALTER + "add unique rule ({c})"), (ALTER + "drop index rule", _WIDE), "Duplicate entry"),
    "primary key": Rule(
        (*_SHORT, ALTER + "add primary key ({c})"), (ALTER + "drop primary key", _WIDE), "Duplicate entry"
    ),
    "foreign key": Rule(
        (*_ALLOWED, *_SHORT, ALTER + "add constraint rule foreign key ({c}) references {s}.allowed (v)"),
        (ALTER + "drop foreign key rule", ALTER + "drop index rule", _WIDE, "drop table {s}.allowed"),
        "Cannot add or update a child row",
    ),
    "length": Rule((ALTER + "modify {c} varchar(4)",), (_WIDE,), "Data too long"),
    "type": Rule((_EMPTY, ALTER + "modify {c} integer"), (_WIDE,), "Incorrect integer value"),
    "enumeration": Rule((_EMPTY, ALTER + "modify {c} enum ('p')"), (_WIDE,), "Data truncated"),
    "trigger": Rule(
        (
            (
                "create trigger {s}.rule before insert on {t} for each row"
                " signal sqlstate '45000' set message_text = new.{c}"
            ),
        ),
        ("drop trigger {s}.rule",),
        "(error 1644)",
    ),
}
RULES = {"duckdb": DUCKDB, "postgres": POSTGRES, "postgres18": POSTGRES, "sqlite": SQLITE, "mariadb": MARIADB}
