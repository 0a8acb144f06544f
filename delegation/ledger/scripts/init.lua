-- init: lay out a partition that has no layout. One that has is left alone, and says what it is.
-- KEYS: layout, events, refusals; ARGV: version, number of partitions, epoch, whether it is ready:
--       else it takes locks, and nothing else, until it is opened

-- Events that outlived the layout are evidence still: their numbers go on.
local function last_number(stream)
  if redis.call('EXISTS', stream) == 0 then return '0' end
  local about = redis.call('XINFO', 'STREAM', stream)
  for position = 1, #about, 2 do
    if about[position] == 'last-generated-id' then
      return string.match(about[position + 1], '^%d+')
    end
  end
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'partitions', ARGV[2], 'epoch', ARGV[3],
    'born', string.format('%d', time[1] * 1000), 'ready', ARGV[4], 'locks', '0',
    'events', last_number(KEYS[2]), 'refusals', last_number(KEYS[3]))
end
return redis.call('HMGET', KEYS[1], 'version', 'partitions', 'epoch')
