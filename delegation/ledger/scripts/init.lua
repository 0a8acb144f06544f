-- init: lay out a partition that has no layout. One that has is left alone, and says what it is.
-- KEYS: layout; ARGV: version, number of partitions, epoch

if redis.call('EXISTS', KEYS[1]) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'partitions', ARGV[2], 'epoch', ARGV[3],
    'born', string.format('%d', time[1] * 1000), 'ready', '1', 'locks', '0')
end
return redis.call('HMGET', KEYS[1], 'version', 'partitions', 'epoch')
