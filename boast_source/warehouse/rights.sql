-- What Postgres tells of the role's rights (rights.py).

-- role --
select
    current_user,
    current_database(),
    pg_is_in_recovery(),
    current_setting('default_transaction_read_only') = 'on',
    has_database_privilege(current_database(), 'create')

-- of_schema --
select has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create')
from pg_namespace
where nspname = %s

-- of_others --
-- Tables and views of ours that another role owns: only an owner can alter or replace them.
select c.relname, c.relkind
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where
    n.nspname = %s
    and c.relkind in ('r', 'v')
    and not pg_has_role(c.relowner, 'usage')
    and c.relname = any(%s)
order by 1
