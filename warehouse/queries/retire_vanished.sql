-- Deletes the rows of an archive's studies that the relation index_study (study_key) no longer holds. $archive_key.
-- Series, selections and scores stay as history.
DELETE FROM study
WHERE archive_key = $archive_key
    AND NOT EXISTS (SELECT 1 FROM index_study WHERE index_study.study_key = study.study_key)
