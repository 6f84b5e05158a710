-- Readings with a grade that is none, a cause that is none, or a grade of what could not be judged.
SELECT audit_id, case_id, reader, level
FROM audit_reading
WHERE is_evaluable <> (grade IS NOT NULL)
    OR grade NOT BETWEEN 0 AND 3
    OR cause NOT IN ('osteoporotic', 'traumatic', 'pathological', 'treated')
