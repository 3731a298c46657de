-- Per account and sequence, over all enrollments: counts by status, rates and durations.
-- Only enrollments that the API still has are counted; `missing` counts the others. A sequence with only missing enrollments has zeros and
-- no rates.
-- `responded`: has a response. Rates divide by `enrolled`. Medians cover enrollments that completed or responded;
-- `enrollment_milestones` defines the hours.
with enrollments as (
    select * from enrollment_milestones
),

present as (
    select
        *,
        row_number() over (partition by account_id, sequence_id order by case when hours_to_complete is null then 1 else 0 end, hours_to_complete) as place_complete,
        count(hours_to_complete) over (partition by account_id, sequence_id) as count_complete,
        row_number() over (partition by account_id, sequence_id order by case when hours_to_respond is null then 1 else 0 end, hours_to_respond) as place_respond,
        count(hours_to_respond) over (partition by account_id, sequence_id) as count_respond
    from enrollments
    where missing_since is null
),

figures as (
    select
        account_id,
        sequence_id,
        count(*) as enrolled,
        cast(sum(case when status = 'active' then 1 else 0 end) as bigint) as active,
        cast(sum(case when status = 'completed' then 1 else 0 end) as bigint) as completed,
        cast(sum(case when status = 'removed' then 1 else 0 end) as bigint) as removed,
        cast(sum(case when status in ('active', 'completed', 'removed') then 0 else 1 end) as bigint) as other,
        cast(sum(case when response_id is not null then 1 else 0 end) as bigint) as responded,
        avg(case when place_complete * 2 between count_complete and count_complete + 2 then hours_to_complete end) as median_hours_to_complete,
        avg(case when place_respond * 2 between count_respond and count_respond + 2 then hours_to_respond end) as median_hours_to_respond,
        min(enrolled_at) as first_enrolled_at,
        max(enrolled_at) as last_enrolled_at
    from present
    group by account_id, sequence_id
),

all_sequences as (
    select account_id, sequence_id, cast(sum(case when missing_since is null then 0 else 1 end) as bigint) as missing
    from enrollments
    group by account_id, sequence_id
)

select
    e.account_id,
    e.sequence_id,
    s.name as sequence_name,
    coalesce(f.enrolled, 0) as enrolled,
    coalesce(f.active, 0) as active,
    coalesce(f.completed, 0) as completed,
    coalesce(f.removed, 0) as removed,
    coalesce(f.other, 0) as other,
    coalesce(f.responded, 0) as responded,
    e.missing,
    f.completed * 1.0 / f.enrolled as completion_rate,
    f.removed * 1.0 / f.enrolled as removal_rate,
    f.responded * 1.0 / f.enrolled as response_rate,
    f.median_hours_to_complete,
    f.median_hours_to_respond,
    f.first_enrolled_at,
    f.last_enrolled_at,
    a.name as account_name
from all_sequences as e
left join figures as f on f.account_id is not distinct from e.account_id and f.sequence_id is not distinct from e.sequence_id
left join sequences as s on s.id = e.sequence_id
left join accounts as a on a.id = e.account_id
