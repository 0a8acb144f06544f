-- witness: write, and leave nothing. A connection that has written nothing is told at once that all
-- is safe, and a repeated call may find nothing left to write.
-- KEYS: one that nobody else uses

redis.call('SET', KEYS[1], '')
return redis.call('DEL', KEYS[1])
