-- Tombstones of series name one revision. Where studies of two patients have a SeriesInstanceUID in common, the key alone took
-- the scans of the one who stayed with those of the one who was erased.

INSERT INTO forgotten
SELECT DISTINCT 'series', series.series_key || ':' || series.series_revision, gone.forgotten_on
FROM forgotten AS gone
JOIN series ON gone.kind = 'series' AND series.series_key = gone.key
WHERE series.study_key IN (SELECT key FROM forgotten WHERE kind = 'study');
DELETE FROM forgotten WHERE kind = 'series' AND key NOT LIKE '%:%';
COMMENT ON COLUMN forgotten.kind IS 'patient | study | series | issuer';
COMMENT ON COLUMN forgotten.key IS 'The pseudonym; of a series with its revision behind a colon; of an issuer its name, by which reports of erased patients are known.';
