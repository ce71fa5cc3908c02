-- 200 different files in turn
local i = 0
request = function()
  i = (i + 1) % 200
  return wrk.format("GET", "/many/" .. i .. ".jpg")
end
