-- Per month of enrollment, account and sequence: what became of those enrolled in that month.
-- Counts are of enrollments that the API still has; `responded`: it has a response. Rates divide by `enrolled`.
-- A young month has had less time: compare months by what happened within 30 days of each enrollment (`completed_in_30_days`,
-- `responded_in_30_days` and their rates), and only those whose enrollments all have had their 30 days (`had_30_days`: the newest
-- change that was seen falls on the 61st day after the month's first, or later).
-- Months are those of UTC unless sources.boast.time_zone says otherwise.
with enrollments as (
    select * from enrollment_milestones
),

newest as (
    select max(updated_at) as moment from enrollments where updated_at <= current_timestamp
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
    coalesce(date_diff('day', c.month, cast(n.moment at time zone 'UTC' as date)) >= 61, false) as had_30_days,
    a.name as account_name
from cohorts as c
inner join newest as n on 1 = 1
left join sequences as s on s.id = c.sequence_id
left join accounts as a on a.id = c.account_id
