-- One row: freshness, the last run, listed against stored, and what needs an operator.
-- `last_success_at`: the end of the last good run (`good_runs`). If accounts have separate runs: that of the account whose last good run is
-- oldest, without accounts that no run has listed for 30 days. `verified` and `listed` are from the last good run, `stored` counts current
-- rows that are not missing, `waiting` counts requests that need an operator.
-- `last_*`: the last load, push or nightly run. A report or a successful load does not hide a failed push or nightly run of the last
-- seven days.
-- Runs dated in the future by a fast clock are left out until then.
-- (No `cross join`: DuckDB 1.4 rewrites it as a comma, which a following left join binds differently in the copy for dashboards.)
with ended as (
    select
        *,
        row_number() over (order by finished_at desc, started_at desc) as place,
        row_number() over (
            partition by case when command = 'load' then 1 else 0 end order by finished_at desc, started_at desc
        ) as place_of_kind
    from runs
    where date_diff('second', current_timestamp, finished_at) <= 3600 and command not in ('report', 'prepare')
),

last_run as (
    select run_id, command, status, exit_code, finished_at, error
    from (
        select *, row_number() over (order by case when error is null then 1 else 0 end, place) as choice
        from ended
        where
            place = 1
            or (command <> 'load' and place_of_kind = 1 and date_diff('second', finished_at, current_timestamp) <= 604800)
    ) as ranked
    where choice = 1
),

last_success as (
    select finished_at, verified, listed
    from (select *, row_number() over (order by finished_at desc, started_at desc) as place from good_runs) as ranked
    where place = 1
),

lists as (
    select account_ids, max(finished_at) as listed_at
    from good_runs
    where date_diff('second', finished_at, current_timestamp) <= 2592000
    group by account_ids
),

accounts_listed as (
    select known.account_id, max(lists.listed_at) as listed_at
    from (select distinct account_id from sequence_enrollments where account_id is not null) as known
    inner join lists
        on lists.account_ids is null
        or strpos(concat(',', lists.account_ids, ','), concat(',', known.account_id, ',')) > 0
    group by known.account_id
),

oldest as (
    select min(listed_at) as listed_at from accounts_listed
),

stored as (
    select
        cast(sum(case when missing_since is null then 1 else 0 end) as bigint) as stored,
        cast(sum(case when missing_since is not null then 1 else 0 end) as bigint) as missing
    from sequence_enrollments
),

waiting as (
    select
        cast(coalesce(sum(case when state = 'held' then 1 else 0 end), 0) as bigint) as held,
        cast(coalesce(sum(case when state = 'refused' then 1 else 0 end), 0) as bigint) as refused,
        cast(coalesce(sum(case when state in ('unknown', 'claimed') then 1 else 0 end), 0) as bigint) as unknown,
        cast(count(*) as bigint) as waiting
    from push_requests
    where attention
)

select
    coalesce(o.listed_at, ls.finished_at) as last_success_at,
    date_diff('second', coalesce(o.listed_at, ls.finished_at), current_timestamp) / 3600.0 as hours_since_success,
    ls.verified,
    ls.listed,
    coalesce(st.stored, 0) as stored,
    coalesce(st.missing, 0) as missing,
    lr.run_id as last_run_id,
    lr.command as last_command,
    lr.status as last_status,
    lr.exit_code as last_exit_code,
    lr.finished_at as last_finished_at,
    lr.error as last_error,
    w.held,
    w.refused,
    w.unknown,
    w.waiting
from waiting as w
inner join stored as st on 1 = 1
inner join oldest as o on 1 = 1
left join last_run as lr on 1 = 1
left join last_success as ls on 1 = 1
