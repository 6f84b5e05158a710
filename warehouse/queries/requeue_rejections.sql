-- Deletes the rejections whose reason is $reason or begins with it and a colon, so that the next sweep tries again.
DELETE FROM rejection WHERE reason = $reason OR starts_with(reason, $reason || ':')
