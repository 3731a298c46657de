-- Per day, account and sequence: how many contacts were enrolled, completed and removed that day, and how many were active at its end.
-- Every day from a sequence's first to today has a row (beyond 10,000 days back, only days with events). Days are in UTC unless
-- sources.boast.time_zone says otherwise.
-- An enrollment is active while its status is `active` and the API has it. It starts on the day of `created_at` (or of the first
-- `updated_at`). A change of status or sequence counts on the day of its `updated_at`, a disappearance on the day of `missing_since`, a
-- return on the day it was seen. No change counts before the one that preceded it, or in the future.
-- `other_changes`: everything else that changed `active`: disappearances, returns, moves between sequences, other statuses. Therefore always:
-- active = active the day before + enrolled - completed - removed + other_changes.
with versions as (
    select
        id,
        coalesce(account_id, '') as account_id,
        coalesce(sequence_id, '') as sequence_id,
        version,
        missing_since,
        observed_at,
        updated_at,
        coalesce(created_at, updated_at, observed_at) as began,
        case when missing_since is not null then 'missing' else coalesce(status, 'none') end as state
    from sequence_enrollments_history
),

chained as (
    select
        *,
        lag(state) over (partition by id order by version) as state_before,
        lag(sequence_id) over (partition by id order by version) as sequence_before,
        lag(account_id) over (partition by id order by version) as account_before
    from versions
),

steps as (
    -- the first version and every change of status or place; an enrollment starts as active, whatever its first version says
    select
        id,
        version,
        account_id,
        sequence_id,
        state,
        began,
        state_before is null as is_first,
        coalesce(state_before, 'active') as before,
        coalesce(account_before, account_id) as account_before,
        coalesce(sequence_before, sequence_id) as sequence_before,
        case
            when state_before is null and coalesce(missing_since, updated_at, observed_at) < began then began
            when missing_since is not null then missing_since
            when state_before = 'missing' or updated_at is null then observed_at
            else updated_at
        end as happened
    from chained
    where
        state_before is null
        or state <> state_before
        or account_id <> account_before
        or sequence_id <> sequence_before
),

ordered as (
    select
        *,
        max(happened) over (
            partition by id
            order by version
            rows between unbounded preceding and current row
        ) as moment
    from steps
),

events as (
    select began as moment, account_id, sequence_id, 1 as enrolled, 0 as completed, 0 as removed, 1 as active
    from ordered
    where is_first
    union all
    -- an active enrollment leaves its place or its status
    select moment, account_before as account_id, sequence_before as sequence_id, 0 as enrolled, 0 as completed, 0 as removed, -1 as active
    from ordered
    where before = 'active' and (not is_first or state <> 'active')
    union all
    select
        moment,
        account_id,
        sequence_id,
        0 as enrolled,
        case when state = 'completed' and before not in ('completed', 'missing') then 1 else 0 end as completed,
        case when state = 'removed' and before not in ('removed', 'missing') then 1 else 0 end as removed,
        case when state = 'active' then 1 else 0 end as active
    from ordered
    where not is_first or state <> 'active'
),

today as (
    select cast(current_timestamp at time zone 'UTC' as date) as today
),

changes as (
    select
        least(cast(e.moment at time zone 'UTC' as date), t.today) as day,
        e.account_id,
        e.sequence_id,
        cast(sum(e.enrolled) as bigint) as enrolled,
        cast(sum(e.completed) as bigint) as completed,
        cast(sum(e.removed) as bigint) as removed,
        cast(sum(e.active) as bigint) as net
    from events as e
    inner join today as t on 1 = 1
    group by 1, 2, 3
),

digits as (
    select 0 as digit union all select 1 union all select 2 union all select 3 union all select 4
    union all select 5 union all select 6 union all select 7 union all select 8 union all select 9
),

numbers as (
    select ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit as number
    from digits as ones
    inner join digits as tens on 1 = 1
    inner join digits as hundreds on 1 = 1
    inner join digits as thousands on 1 = 1
),

days as (
    select day from changes
    union
    select cast(t.today as date) - n.number as day
    from today as t
    inner join numbers as n on 1 = 1
),

firsts as (
    select account_id, sequence_id, min(day) as first_day
    from changes
    group by account_id, sequence_id
),

places as (
    select f.account_id, f.sequence_id, f.first_day, s.name as sequence_name, a.name as account_name
    from firsts as f
    left join sequences as s on s.id = f.sequence_id
    left join accounts as a on a.id = f.account_id
)

select
    d.day,
    p.account_id,
    p.sequence_id,
    coalesce(c.enrolled, 0) as enrolled,
    coalesce(c.completed, 0) as completed,
    coalesce(c.removed, 0) as removed,
    coalesce(c.net - c.enrolled + c.completed + c.removed, 0) as other_changes,
    cast(sum(coalesce(c.net, 0)) over (
        partition by p.account_id, p.sequence_id
        order by d.day
        rows between unbounded preceding and current row
    ) as bigint) as active,
    p.sequence_name,
    p.account_name
from places as p
inner join days as d on d.day >= p.first_day
left join changes as c on c.day = d.day and c.account_id = p.account_id and c.sequence_id = p.sequence_id
