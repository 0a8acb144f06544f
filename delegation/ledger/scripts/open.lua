-- open: a partition that was laid out to be restored has its locks again, and may be used.
-- KEYS: layout

if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'ready', '1') end
return redis.call('HMGET', KEYS[1], 'version', 'partitions', 'ready')
