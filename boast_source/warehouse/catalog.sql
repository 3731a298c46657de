-- Everything in a dataset, by dialect (models/catalog.py): table or view; column or null; comment; a view's definition. The
-- dataset's name is a parameter three times.

-- duckdb --
select lower(table_name), null, comment, null
from duckdb_tables()
where lower(schema_name) = lower(%s) and database_name = current_database()
union all
select lower(view_name), null, comment, sql
from duckdb_views()
where lower(schema_name) = lower(%s) and database_name = current_database()
union all
select lower(table_name), column_name, comment, null
from duckdb_columns()
where lower(schema_name) = lower(%s) and database_name = current_database()

-- postgres --
select c.relname, null, obj_description(c.oid, 'pg_class'), case when c.relkind = 'v' then pg_get_viewdef(c.oid) end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'v', 'm', 'p', 'f')
union all
select c.relname, a.attname, col_description(c.oid, a.attnum), null
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where
    n.nspname = %s
    and n.nspname = %s
    and c.relkind in ('r', 'v', 'm', 'p', 'f')
    and a.attnum > 0
    and not a.attisdropped
