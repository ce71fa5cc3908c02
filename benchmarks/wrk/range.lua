-- 64 kB at random offsets of a file of 1 GiB
request = function()
  local offset = math.random(0, 1073741824 - 65536)
  return wrk.format("GET", nil, { ["Range"] = "bytes=" .. offset .. "-" .. (offset + 65535) })
end
