-- Cells of an audit whose drawn units are not as many as its design says, or audits whose cells do not sum up.
SELECT cells.audit_id, cells.cell
FROM audit_cell AS cells
LEFT JOIN (SELECT audit_id, cell, count(*) AS n FROM audit_unit GROUP BY ALL) AS drawn
    ON drawn.audit_id = cells.audit_id AND drawn.cell = cells.cell
WHERE coalesce(drawn.n, 0) <> cells.n_drawn OR cells.n_drawn > cells.n_units
UNION ALL
SELECT audit.audit_id, NULL
FROM audit JOIN (
    SELECT audit_id, sum(n_units) AS n_units, sum(n_drawn) AS n_drawn FROM audit_cell GROUP BY audit_id
) AS summed ON summed.audit_id = audit.audit_id
WHERE summed.n_units <> audit.n_units OR summed.n_drawn <> audit.n_drawn
