-- One row per month of enrollment, account and sequence: the outcomes of the contacts enrolled in that month.
-- Counts are of enrollments that the API still has. Rates divide by `enrolled`.
-- Recent months have had less time. To compare months, use what happened within 30 days of each enrollment (`*_30_days`), and only months
-- with `had_30_days`: the data of the account reach the 61st day after the first of the month.
-- They reach to the account's newest change, or to the newest change of all accounts less the days since a good run listed this one.
-- Months are in UTC unless sources.boast.time_zone says otherwise.
with enrollments as (
    select * from enrollment_milestones
),

lists as (
    select account_ids, max(cast(finished_at at time zone 'UTC' as date)) as day
    from good_runs
    group by account_ids
),

newest as (
    select
        account_id,
        max(case when updated_at <= current_timestamp then cast(updated_at at time zone 'UTC' as date) end) as changed
    from enrollments
    group by account_id
),

known as (
    select n.account_id, n.changed, max(l.day) as listed
    from newest as n
    left join lists as l
        on l.account_ids is null
        or strpos(concat(',', l.account_ids, ','), concat(',', n.account_id, ',')) > 0
    group by n.account_id, n.changed
),

latest as (
    select (select max(changed) from newest) as changed, (select max(day) from lists) as listed
),

cohorts as (
    select
        cast(date_trunc('month', enrolled_at at time zone 'UTC') as date) as month,
        account_id,
        sequence_id,
        count(*) as enrolled,
        cast(sum(case when status = 'active' then 1 else 0 end) as bigint) as active,
        cast(sum(case when status = 'completed' then 1 else 0 end) as bigint) as completed,
        cast(sum(case when status = 'removed' then 1 else 0 end) as bigint) as removed,
        cast(sum(case when status in ('active', 'completed', 'removed') then 0 else 1 end) as bigint) as other,
        cast(sum(case when response_id is not null then 1 else 0 end) as bigint) as responded,
        cast(sum(case when hours_to_complete <= 720 then 1 else 0 end) as bigint) as completed_in_30_days,
        cast(sum(case when hours_to_respond <= 720 then 1 else 0 end) as bigint) as responded_in_30_days
    from enrollments
    where missing_since is null
    group by 1, 2, 3
)

select
    c.month,
    c.account_id,
    c.sequence_id,
    s.name as sequence_name,
    c.enrolled,
    c.active,
    c.completed,
    c.removed,
    c.other,
    c.responded,
    c.completed * 1.0 / c.enrolled as completion_rate,
    c.responded * 1.0 / c.enrolled as response_rate,
    c.completed_in_30_days,
    c.responded_in_30_days,
    c.completed_in_30_days * 1.0 / c.enrolled as completion_rate_30_days,
    c.responded_in_30_days * 1.0 / c.enrolled as response_rate_30_days,
    coalesce(
        date_diff('day', c.month, k.changed) >= 61
        or date_diff('day', c.month, t.changed) - case when t.listed is null then 0 else date_diff('day', k.listed, t.listed) end >= 61,
        false
    ) as had_30_days,
    a.name as account_name
from cohorts as c
inner join known as k on k.account_id is not distinct from c.account_id
inner join latest as t on 1 = 1
left join sequences as s on s.id = c.sequence_id
left join accounts as a on a.id = c.account_id
