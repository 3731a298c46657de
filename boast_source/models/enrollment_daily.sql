-- Per day, account and sequence: how many were enrolled, completed and removed on that day, and how many were active at its end.
-- An enrollment is active while its status is `active` and the API has it. It is enrolled on the day of `created_at` (else of the
-- first `updated_at`); a change of
-- status falls on the day of the `updated_at` that came with it, a disappearance on the day of `missing_since`, and a return on the
-- day it was seen.
-- `other_changes`: what else moved `active`: vanished, came back, or went to or from another status. So, always:
-- active = active the day before + enrolled - completed - removed + other_changes.
-- There is a row for every day on which anything happened anywhere, from a sequence's first day on. Days are those of UTC
-- unless sources.boast.time_zone says otherwise.
with versions as (
    select
        id,
        coalesce(account_id, '') as account_id,
        coalesce(sequence_id, '') as sequence_id,
        version,
        created_at,
        updated_at,
        missing_since,
        observed_at,
        case when missing_since is not null then 'missing' else coalesce(status, 'none') end as state
    from sequence_enrollments_history
),

chained as (
    select
        *,
        lag(state) over (partition by id order by version) as before,
        lag(sequence_id) over (partition by id order by version) as sequence_before,
        lag(account_id) over (partition by id order by version) as account_before
    from versions
),

steps as (
    select
        *,
        coalesce(created_at, updated_at, observed_at) as began,
        case
            when missing_since is not null then missing_since
            when before = 'missing' or updated_at is null then observed_at
            when updated_at < created_at then created_at
            else updated_at
        end as happened
    from chained
),

events as (
    -- it begins, and is active from then on
    select began as moment, account_id, sequence_id, 1 as enrolled, 0 as completed, 0 as removed, 1 as active
    from steps
    where before is null
    union all
    -- its state becomes another; the first one seen may already be another than active
    select
        happened as moment,
        account_id,
        sequence_id,
        0 as enrolled,
        case when state = 'completed' and coalesce(before, 'active') <> 'missing' then 1 else 0 end as completed,
        case when state = 'removed' and coalesce(before, 'active') <> 'missing' then 1 else 0 end as removed,
        case when state = 'active' then 1 else 0 end - case when coalesce(before, 'active') = 'active' then 1 else 0 end as active
    from steps
    where state <> coalesce(before, 'active')
    union all
    -- should it ever belong to another sequence or account: it leaves the one and comes to the other
    select happened as moment, account_before as account_id, sequence_before as sequence_id, 0, 0, 0, -1
    from steps
    where before is not null and state = 'active' and before = 'active' and (sequence_id <> sequence_before or account_id <> account_before)
    union all
    select happened as moment, account_id, sequence_id, 0, 0, 0, 1
    from steps
    where before is not null and state = 'active' and before = 'active' and (sequence_id <> sequence_before or account_id <> account_before)
),

changes as (
    select
        cast(moment at time zone 'UTC' as date) as day,
        account_id,
        sequence_id,
        cast(sum(enrolled) as bigint) as enrolled,
        cast(sum(completed) as bigint) as completed,
        cast(sum(removed) as bigint) as removed,
        cast(sum(active) as bigint) as net
    from events
    group by 1, 2, 3
),

days as (
    select distinct day from changes
),

firsts as (
    select account_id, sequence_id, min(day) as first_day
    from changes
    group by account_id, sequence_id
)

select
    d.day,
    f.account_id,
    f.sequence_id,
    coalesce(c.enrolled, 0) as enrolled,
    coalesce(c.completed, 0) as completed,
    coalesce(c.removed, 0) as removed,
    coalesce(c.net - c.enrolled + c.completed + c.removed, 0) as other_changes,
    cast(sum(coalesce(c.net, 0)) over (
        partition by f.account_id, f.sequence_id
        order by d.day
        rows between unbounded preceding and current row
    ) as bigint) as active
from firsts as f
inner join days as d on d.day >= f.first_day
left join changes as c on c.day = d.day and c.account_id = f.account_id and c.sequence_id = f.sequence_id
