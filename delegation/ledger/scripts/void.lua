-- void: kill the record of an exchange whose token was never signed, with the event that says so.
-- KEYS: layout, record, live exchanges, events; ARGV from 5: its entry there, event

local problem = unwell()
if problem then return answer(problem) end

local packed = redis.call('GET', KEYS[2])
if packed then
  local record = read_record(packed)
  local event = with_lineage(ARGV[6], record.before, record.foreign)
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[5])
  write_event('events', KEYS[4], milliseconds(), event)
end
return answer('ok')
