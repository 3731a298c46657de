"""MySQL and MariaDB, through SQLAlchemy: texts of any length, although their type `text` ends at 64 kB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dlt.destinations.impl.sqlalchemy.dialect import MysqlDialectCapabilities, register_dialect_capabilities
from dlt.destinations.impl.sqlalchemy.type_mapper import MysqlVariantTypeMapper
from sqlalchemy.dialects.mysql import LONGTEXT

if TYPE_CHECKING:
    from dlt.common.destination.typing import PreparedTableSchema
    from dlt.common.schema.typing import TColumnSchema


class _LongTexts(MysqlVariantTypeMapper):
    def db_type_from_text_type(self, column: TColumnSchema, table: PreparedTableSchema) -> sa.types.TypeEngine[Any]:
        found = super().db_type_from_text_type(column, table)
        return LONGTEXT() if isinstance(found, sa.Text) else found


class _Dialect(MysqlDialectCapabilities):
    def type_mapper_class(self) -> type[_LongTexts]:
        return _LongTexts


def keep_long_texts() -> None:
    """Let dlt create columns for texts of any length, such as its own schema with many fields."""
    for name in ("mysql", "mariadb"):
        register_dialect_capabilities(name, _Dialect)
